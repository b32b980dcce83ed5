import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// WAVE's REST resources (contract wave §10), under both of its vendor's prefixes.
struct StreamsAPI: Sendable {
    let streams: Streams
    let viewers: Viewers
    let chat: Chat

    func add(to router: Router<APIContext>) {
        for prefix in ["/v1/streams", "/api/v1/streams"] {
            let group = router.group(RouterPath(prefix))
            self.addStreams(to: group)
            self.addStates(to: group)
            self.addViewers(to: group)
            group.get("/:id/chat", use: self.history)
        }
    }

    private func addStreams(to group: RouterGroup<APIContext>) {
        let (streams, media) = (self.streams, self.streams.media)
        group.post { request, context in
            let principal = try context.require(.streamsWrite)
            let draft = try StreamDraft(try await request.decodeObject(context))
            let stream = try await streams.create(draft, tenant: principal.tenant)
            return Response.json(stream.json(media), status: .created)
        }
        group.get { request, context in
            let principal = try context.require(.streamsRead)
            let page = Page(request.uri.queryParameters)
            let limit = try page.number("limit", 1...100, default: 20)
            let cursor = try page.id("cursor", Stream.isID)
            let found = try await streams.list(tenant: principal.tenant, limit: limit + 1, cursor: cursor)
            return Response.json(
                Page.body(
                    found.prefix(limit).map { $0.json(media) }, next: found.count > limit ? found[limit - 1].id : nil))
        }
        group.get("/:id") { _, context in
            let principal = try context.require(.streamsRead)
            return Response.json(try await streams.get(context.id(), tenant: principal.tenant).json(media))
        }
        group.patch("/:id") { request, context in
            let principal = try context.require(.streamsWrite)
            let patch = try StreamPatch(try await request.decodeObject(context))
            return Response.json(try await streams.change(context.id(), patch, tenant: principal.tenant).json(media))
        }
        group.delete("/:id") { _, context in
            let principal = try context.require(.streamsWrite)
            try await streams.delete(context.id(), tenant: principal.tenant)
            return Response(status: .noContent)
        }
    }

    private func addStates(to group: RouterGroup<APIContext>) {
        let (streams, media) = (self.streams, self.streams.media)
        group.post("/:id/start") { _, context in
            let principal = try context.require(.streamsWrite)
            return Response.json(try await streams.start(context.id(), tenant: principal.tenant).json(media))
        }
        group.post("/:id/stop") { _, context in
            let principal = try context.require(.streamsWrite)
            return Response.json(try await streams.stop(context.id(), tenant: principal.tenant).json(media))
        }
    }

    private func addViewers(to group: RouterGroup<APIContext>) {
        let viewers = self.viewers
        group.post("/:id/viewers") { request, context in
            let principal = try context.require(.streamsWrite)
            let draft = try ViewerDraft(try await request.decodeOptionalObject(context))
            let viewer = try await viewers.join(context.id(), draft, tenant: principal.tenant)
            return Response.json(["viewer_id": viewer], status: .created)
        }
        group.delete("/:id/viewers/:viewer") { _, context in
            let principal = try context.require(.streamsWrite)
            try await viewers.leave(context.id(), context.id("viewer"), tenant: principal.tenant)
            return Response(status: .noContent)
        }
    }

    @Sendable private func history(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.streamsRead)
        let page = Page(request.uri.queryParameters)
        let limit = try page.number("limit", 1...100, default: 50)
        let before = try page.id("before") { $0.hasPrefix("msg_") && ULID(text: $0.dropFirst(4)) != nil }
        let stream = try await self.streams.get(context.id(), tenant: principal.tenant)
        let lines = try await self.chat.history(stream.id, tenant: principal.tenant, limit: limit + 1, before: before)
        let data = lines.prefix(limit).map { line -> JSON in
            [
                "stream_id": .string(line.streamID), "message_id": .string(line.messageID),
                "user_id": .string(line.userID),
                "username": .string(line.username), "message": .string(line.message),
                "timestamp": .string(line.timestamp),
            ]
        }
        return Response.json(Page.body(data, next: lines.count > limit ? lines[limit - 1].messageID : nil))
    }
}
