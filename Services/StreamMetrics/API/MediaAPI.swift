import Access
import Events
import ForeignMessages
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceKit

/// The hooks of media servers, and what is known of each server.
struct MediaAPI: Sendable {
    let servers: [MediaServer]
    let watches: [MediaWatch]
    let ingest: Ingest
    let authenticate: Authenticate

    private static let bodyBytesMax = 16_384

    func add(to router: Router<APIContext>) {
        router.post("/hooks/:server", use: self.hook)
        router.get("/v1/media/servers") { _, context in
            let principal = try context.require(.streamsRead, on: .channel)
            var data: [JSON] = []
            // The servers belong to whoever runs the installation: its administrators, and the default channel's own people.
            let showsAll =
                principal.administersAuth
                || principal.tenant == Principal.defaultTenant && principal.permits(.streamsWrite, on: .channel)
            for watch in self.watches { data.append(await Self.json(watch, showsAll: showsAll)) }
            return Response.json(Page.body(data, next: nil))
        }
    }

    /// - Parameter showsAll: whether the counts, which are about all tenants together, and the reason why a server does not answer, which
    ///   may name its address, are there.
    private static func json(_ watch: MediaWatch, showsAll: Bool) async -> JSON {
        let (server, report) = (watch.server, await watch.report)
        let isAsked = server.statistics != nil
        let state =
            !isAsked || report.answeredAt == nil && report.problem == nil
            ? "unasked" : report.problem == nil ? "known" : "unknown"
        var body: [String: JSON] = [
            "name": .string(server.name), "kind": .string(server.kind.rawValue), "state": .string(state),
            "problem": JSON(report.problem.map { showsAll ? $0 : "The server does not answer" }),
            "answered_at": JSON(report.answeredAt?.iso8601),
        ]
        guard showsAll else { return .object(body) }
        for (name, count) in [
            ("publishers", report.publishers), ("players", report.players), ("adopted", report.adopted),
            ("ended", report.ended),
        ] {
            body[name] = .integer(Int64(count))
        }
        return .object(body)
    }

    @Sendable private func hook(_ request: Request, _ context: APIContext) async throws -> Response {
        let name = try context.id("server")
        let query = try FormParameters((request.uri.query ?? "").utf8)
        guard let server = self.servers.first(where: { $0.name == name }), server.accepts(query["secret"] ?? "") else {
            throw APIFailure(.unauthorized, "There is no such media server, or its secret is another")
        }
        let body: [UInt8]
        do {
            body = Array(try await request.body.collect(upTo: Self.bodyBytesMax).readableBytesView)
        } catch is NIOTooManyBytesError {
            throw APIFailure(.contentTooLarge, "The body is too large")
        }
        if let call = try server.adapter.call(HookRequest(query: query, body: body)) {
            guard call.name.utf8.count <= 200, call.session.utf8.count <= 200 else {
                throw APIFailure(.badRequest, "A name or an id is too long")
            }
            try await self.take(call, of: server, at: .now)
        }
        return Response(
            status: .ok, headers: [.contentType: "text/plain"],
            body: .init(byteBuffer: ByteBuffer(string: server.adapter.acceptance)))
    }

    /// Returns once it is stored.
    private func take(_ call: MediaCall, of server: MediaServer, at moment: Timestamp) async throws {
        func beginning(_ role: MediaSession.Role) -> MediaBeginning {
            MediaBeginning(
                server: server.name, key: .init(role: role, session: call.session, name: call.name), at: moment,
                by: .hook, asOf: moment, address: call.address, agent: call.agent)
        }
        func key(_ role: MediaSession.Role) -> MediaSession.Key {
            MediaSession.Key(role: role, session: call.session, name: call.name)
        }
        switch call.action {
        case .mayPublish: try await self.ingest.authorize(try await self.publisher(call), name: call.name)
        case .publish:
            let principal = call.isAuthorized ? nil : try await self.publisher(call)
            try await self.ingest.publish(beginning(.publish), by: principal, at: server)
        case .play: try await self.ingest.play(beginning(.play), at: server)
        case .unpublish: try await self.ingest.end(key(.publish), at: server, moment)
        case .stop: try await self.ingest.end(key(.play), at: server, moment)
        case .alive(let role):
            // `try?`: nginx throws out whoever's update is refused, and the statistics will say it again.
            try? await self.ingest.note(key(role), at: server.name, moment)
        case .recorded(let path):
            try await self.ingest.record(path, name: call.name, server: server.name, at: moment)
        }
    }

    /// Whose key it is that a publisher shows.
    private func publisher(_ call: MediaCall) async throws -> Principal {
        guard let key = call.key else {
            // MediaMTX asks a client for its password then.
            throw APIFailure(call.action == .mayPublish ? .unauthorized : .forbidden, "A key is needed to publish")
        }
        do throws(AccessError) {
            return try await self.authenticate(key, call.address)
        } catch {
            switch error {
            case .unavailable: throw APIFailure.unavailable("Keys cannot be verified at the moment")
            case .limited(let seconds):
                throw APIFailure(
                    .tooManyRequests, "Too many wrong keys from this address", headers: [.retryAfter: "\(seconds)"])
            case .invalid: throw APIFailure(.forbidden, "The key is not valid")
            }
        }
    }
}
