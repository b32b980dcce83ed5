import Access
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Recordings: WAVE's entity, whose vendor documents a scope for it and no paths.
struct RecordingsAPI: Sendable {
    let streams: Streams
    let recordings: Recordings
    let limit: CredentialLimit

    func add(to router: Router<APIContext>) {
        let router = router.group("").add(middleware: self.limit)
        for prefix in ["/v1", "/api/v1"] {
            router.get("\(prefix)/streams/:id/recordings") { request, context in
                let principal = try context.stream(.recordingsRead)
                let stream = try await self.streams.get(context.id(), tenant: principal.tenant)
                return try await self.list(request, principal, stream: stream.id)
            }
        }
        router.get("/v1/recordings") { request, context in
            try await self.list(request, try context.requireSomewhere(.recordingsRead), stream: nil)
        }
        router.get("/v1/recordings/:id") { _, context in
            let principal = try context.requireSomewhere(.recordingsRead)
            let recording = try await self.recordings.get(context.id(), tenant: principal.tenant)
            // Its stream is known only now: to whoever may not see that one, the recording is not there.
            guard principal.permits(.recordingsRead, on: .stream(recording.stream)) else { throw Recordings.unknown }
            return Response.json(recording.json)
        }
    }

    private func list(_ request: Request, _ principal: Principal, stream: String?) async throws -> Response {
        let page = Page(request.uri.queryParameters)
        let limit = try page.number("limit", 1...100, default: 20)
        let cursor = try page.id("cursor", Recordings.Recording.isID)
        let found = try await self.recordings.list(
            for: principal, stream: stream, limit: limit + 1, cursor: cursor)
        return Response.json(
            Page.body(found.prefix(limit).map(\.json), next: found.count > limit ? found[limit - 1].id : nil))
    }
}
