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
    let audience: Audience
    let health: HealthBook
    let media: Media
    let limit: CredentialLimit

    func add(to router: Router<APIContext>) {
        for prefix in ["/v1/streams", "/api/v1/streams"] {
            let group = router.group(RouterPath(prefix)).add(middleware: self.limit)
            self.addStreams(to: group)
            self.addStates(to: group)
            self.addViewers(to: group)
            self.addNumbers(to: group)
            group.get("/:id/chat", use: self.history)
            group.post("/:id/chat/:message/moderate", use: self.moderate)
        }
    }

    private func addStreams(to group: RouterGroup<APIContext>) {
        let (streams, media) = (self.streams, self.streams.media)
        group.post { request, context in
            let principal = try context.require(.streamsWrite, on: .channel)
            let draft = try StreamDraft(try await request.decodeObject(context))
            let stream = try await streams.create(draft, tenant: principal.tenant)
            return Response.json(stream.json(media), status: .created)
        }
        group.get { request, context in
            let principal = try context.requireSomewhere(.streamsRead)
            let page = Page(request.uri.queryParameters)
            let limit = try page.number("limit", 1...100, default: 20)
            let cursor = try page.id("cursor", Stream.isID)
            let found = try await streams.list(for: principal, limit: limit + 1, cursor: cursor)
            return Response.json(
                Page.body(
                    found.prefix(limit).map { $0.json(media) }, next: found.count > limit ? found[limit - 1].id : nil))
        }
        group.get("/:id") { _, context in
            let principal = try context.stream(.streamsRead)
            return Response.json(try await streams.get(context.id(), tenant: principal.tenant).json(media))
        }
        group.patch("/:id") { request, context in
            let principal = try context.stream(.streamsWrite)
            let patch = try StreamPatch(try await request.decodeObject(context))
            return Response.json(try await streams.change(context.id(), patch, tenant: principal.tenant).json(media))
        }
        group.delete("/:id") { _, context in
            let principal = try context.stream(.streamsWrite)
            try await streams.delete(context.id(), tenant: principal.tenant)
            return Response(status: .noContent)
        }
    }

    private func addStates(to group: RouterGroup<APIContext>) {
        let (streams, media) = (self.streams, self.streams.media)
        group.post("/:id/start") { _, context in
            let principal = try context.stream(.streamsWrite)
            let stream = try await streams.start(
                context.id(), tenant: principal.tenant, liveMax: principal.tier.liveStreamsMax)
            return Response.json(stream.json(media))
        }
        group.post("/:id/stop") { _, context in
            let principal = try context.stream(.streamsWrite)
            return Response.json(try await streams.stop(context.id(), tenant: principal.tenant).json(media))
        }
    }

    private func addViewers(to group: RouterGroup<APIContext>) {
        let viewers = self.viewers
        group.post("/:id/viewers") { request, context in
            let principal = try context.stream(.streamsWrite)
            let draft = try ViewerDraft(try await request.decodeOptionalObject(context))
            let viewer = try await viewers.join(context.id(), draft, tenant: principal.tenant)
            return Response.json(["viewer_id": viewer], status: .created)
        }
        group.delete("/:id/viewers/:viewer") { _, context in
            let principal = try context.stream(.streamsWrite)
            try await viewers.leave(context.id(), context.id("viewer"), tenant: principal.tenant)
            return Response(status: .noContent)
        }
    }

    private func addNumbers(to group: RouterGroup<APIContext>) {
        let (streams, audience, health, servers) = (self.streams, self.audience, self.health, self.media)
        group.get("/:id/health") { _, context in
            let principal = try context.stream(.streamsRead)
            let stream = try await streams.get(context.id(), tenant: principal.tenant)
            return Response.json(health.json(of: stream, signal: await servers.signal(of: stream)))
        }
        group.get("/:id/analytics") { request, context in
            let principal = try context.stream(.analyticsRead)
            let page = Page(request.uri.queryParameters)
            let (start, end) = (try page.moment("start"), try page.moment("end"))
            let stream = try await streams.get(context.id(), tenant: principal.tenant)
            let range = (start ?? stream.startedAt ?? stream.createdAt, end ?? stream.endedAt ?? .now)
            guard range.0 <= range.1 else { throw Page.refuse("end", "must not be before start") }
            return Response.json(try await audience.report(stream, from: range.0, to: range.1).json)
        }
    }

    @Sendable private func moderate(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.stream(.streamsWrite)
        let draft = try ModerationDraft(try await request.decodeObject(context))
        return Response.json(
            try await self.chat.moderate(context.id("message"), in: context.id(), draft, by: principal))
    }

    @Sendable private func history(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.stream(.streamsRead)
        let page = Page(request.uri.queryParameters)
        let limit = try page.number("limit", 1...100, default: 50)
        let before = try page.id("before", Chat.isID)
        let moderation = try page.choice("moderation", of: Moderation.self)
        // What was decided, and on what, is for moderators.
        if moderation != nil { _ = try context.stream(.streamsWrite) }
        let stream = try await self.streams.get(context.id(), tenant: principal.tenant)
        let lines = try await self.chat.history(
            stream.id, tenant: principal.tenant, limit: limit + 1, before: before, moderation: moderation)
        let data = lines.prefix(limit).map { line -> JSON in
            let message = line.message
            var members: [String: JSON] = [
                "stream_id": .string(message.streamID), "message_id": .string(message.messageID),
                "user_id": .string(message.userID), "username": .string(message.username),
                "message": .string(message.message), "timestamp": .string(message.timestamp),
            ]
            if moderation != nil { members["moderation"] = line.moderation }
            return .object(members)
        }
        return Response.json(Page.body(data, next: lines.count > limit ? lines[limit - 1].message.messageID : nil))
    }
}

extension APIContext {
    /// Whoever asks, with the scope on the stream that the path names. Throws 401 and 403.
    func stream(_ scope: Scope) throws -> Principal { try self.require(scope, on: .stream(try self.id())) }
}
