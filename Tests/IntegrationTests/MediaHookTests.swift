import Events
import Foundation
import TestSupport
import Testing

/// The hooks of a media server, as SRS posts them; the server itself is not needed for it.
@Suite("Media hooks", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct MediaHookTests {
    private struct Stage {
        let suite: Suite
        let streams: StreamsClient
        let key: String

        func post(_ body: [UInt8], server: String = "srs", secret: String = MediaHookTests.secret) async throws -> Int {
            try await HTTPClient.request(
                "POST", port: self.suite.port(.streamMetrics), path: "/hooks/\(server)?secret=\(secret)",
                headers: [("content-type", "application/json")], body: body
            ).status
        }

        func tell(
            _ action: String, _ stream: String, client: String, key: String? = nil, address: String = "192.0.2.1"
        ) async throws -> Int {
            let hook: JSON = [
                "action": .string(action), "client_id": .string(client), "ip": .string(address), "vhost": "v",
                "app": "live",
                "stream": .string(stream), "param": .string("?key=\(key ?? self.key)"),
            ]
            return try await self.post(hook.bytes)
        }

        func status(_ stream: String) async throws -> JSON? {
            try await self.streams.succeed("GET", "/\(stream)")["status"]
        }
    }

    fileprivate static let secret = "0123456789abcdef"

    private static func with(
        tier: String? = nil, servers: JSON? = nil, environment: [String: String] = [:],
        _ body: (Stage) async throws -> Void
    ) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "hooks-\(UUID().uuidString).json")
        let servers = servers ?? [["name": "srs", "kind": "srs", "secret": .string(Self.secret)]]
        try Data(servers.bytes).write(to: file)
        // `try?`: it lies in the folder for temporary files.
        defer { try? FileManager.default.removeItem(at: file) }
        try await Suite.with(
            [.auth, .streamMetrics], gateways: 0,
            environment: [
                "STREAM_METRICS_MEDIA_SERVERS_FILE": file.path, "STREAM_METRICS_MEDIA_GRACE_SECONDS": "1",
            ].merging(environment) { $1 }
        ) { suite in
            let streams = try await StreamsClient(suite, tier: tier)
            var draft: [String: JSON] = ["name": "encoder", "scopes": ["streams:write"]]
            if let tier { draft["tier"] = .string(tier) }
            let made = try await suite.request("POST", .auth, "/v1/auth/keys", .object(draft), token: streams.token)
            try await body(Stage(suite: suite, streams: streams, key: try #require(made["key"]?.string)))
        }
    }

    @Test func `whoever is not the server is refused, and what is no hook too`() async throws {
        try await Self.with { stage in
            let stream = try await stage.streams.create()
            #expect(try await stage.post([], server: "other") == 401)
            #expect(try await stage.post([], secret: "") == 401)
            #expect(try await stage.post([], secret: "0123456789abcdee") == 401)
            for body in [
                "", "[]", "{}", #"{"action":"on_publish"}"#,
                #"{"action":"on_publish","stream":"a\u0000","client_id":"c"}"#,
            ] {
                #expect(try await stage.post(Array(body.utf8)) == 400, "\(body)")
            }
            #expect(try await stage.post(Array(repeating: 0x20, count: 20_000)) == 413)
            #expect(try await stage.tell("on_publish", "live", client: "c") == 404)
            #expect(try await stage.tell("on_publish", "stream_01m7z44725ek86gj77ygxb558a", client: "c") == 404)
            // Another tenant's stream is no other than none at all, and a key for nothing learns of neither.
            let missing = "stream_01m7z44725ek86gj77ygxb558a"
            let strangers = try await StreamsClient(stage.suite).token
            let useless = try await stage.suite.token(tenant: stage.streams.tenant, scope: "streams:read")
            for name in [stream, missing] {
                #expect(try await stage.tell("on_publish", name, client: "c", key: strangers) == 404)
                #expect(try await stage.tell("on_publish", name, client: "c", key: useless) == 403)
            }
            let tooLong = String(repeating: "c", count: 300)
            #expect(try await stage.tell("on_publish", stream, client: tooLong) == 400)
            // What is none of ours is nobody's business, and keeps nobody from playing it.
            #expect(try await stage.tell("on_play", "live", client: "c") == 200)
            #expect(try await stage.tell("on_hls", "live", client: "c") == 200)
        }
    }

    @Test func `a plan's live streams hold for encoders too`() async throws {
        try await Self.with(tier: "free") { stage in
            var ids: [String] = []
            for _ in 0..<11 { ids.append(try await stage.streams.create()) }
            for id in ids.prefix(10) { #expect(try await stage.tell("on_publish", id, client: "of \(id)") == 200) }
            #expect(try await stage.tell("on_publish", ids[10], client: "of the last") == 402)
            #expect(try await stage.status(ids[10]) == "idle")
        }
    }

    @Test func `where a server cannot be asked, a new publisher ends one of whom it was not heard`() async throws {
        try await Self.with { stage in
            let stream = try await stage.streams.create()
            #expect(try await stage.tell("on_publish", stream, client: "lost") == 200)
            try await Task.sleep(for: .seconds(4))
            #expect(try await stage.tell("on_publish", stream, client: "new") == 200)
            #expect(try await stage.tell("on_unpublish", stream, client: "new") == 200)
            try await Suite.eventually("the stream has ended") { try await stage.status(stream) == "ended" }
        }
    }

    @Test func `an encoder that its OBS and its media server both tell of has one stream`() async throws {
        try await Self.with { stage in
            let stream = try await stage.streams.create()
            #expect(try await stage.tell("on_publish", stream, client: "first") == 200)
            #expect(try await stage.tell("on_unpublish", stream, client: "first") == 200)
            try await Suite.eventually("the stream has ended") { try await stage.status(stream) == "ended" }
            // The next broadcast: the server is the first to tell.
            #expect(try await stage.tell("on_publish", stream, client: "second") == 200)
            let answer = try await stage.suite.call(
                FeedStream(
                    stream: stream, tenant: stage.streams.tenant, encoder: "obs:studio", isLive: true,
                    liveFor: -10_000, counters: .init(bytes: 1, totalFrames: 1, skippedFrames: 0), fps: 30))
            #expect(answer.stream != stream)
            #expect(try await stage.status(answer.stream) == "live")
            let list = try await stage.streams.succeed("GET", "")["data"]?.array ?? []
            #expect(list.count == 2 && list.count { $0["status"] == "live" } == 1)
        }
    }

    @Test func `a stream whose encoder still publishes is not deleted`() async throws {
        try await Self.with { stage in
            let stream = try await stage.streams.create()
            #expect(try await stage.tell("on_publish", stream, client: "c") == 200)
            try await stage.streams.succeed("POST", "/\(stream)/stop")
            #expect(try await stage.streams.call("DELETE", "/\(stream)").status == 409)
            #expect(try await stage.tell("on_unpublish", stream, client: "c") == 200)
            #expect(try await stage.streams.call("DELETE", "/\(stream)").status == 204)
        }
    }

    @Test func `whoever plays is in the country of their address`() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "countries-\(UUID().uuidString).mmdb")
        try Data(CountryDatabase.bytes(CountryDatabase.germany, recordSize: 24, version: 4)).write(to: file)
        // `try?`: it lies in the folder for temporary files.
        defer { try? FileManager.default.removeItem(at: file) }
        try await Self.with(environment: ["STREAM_METRICS_COUNTRIES_FILE": file.path]) { stage in
            let stream = try await stage.streams.create()
            #expect(try await stage.tell("on_publish", stream, client: "encoder") == 200)
            #expect(try await stage.tell("on_play", stream, client: "near") == 200)
            #expect(try await stage.tell("on_play", stream, client: "far", address: "198.51.100.1") == 200)
            let joined = try await stage.suite.events(
                .streamMetrics, "viewer.joined", room: stream, token: stage.streams.token)
            #expect(joined.map { $0["country"] } == ["DE", .null])
            let numbers = try await stage.streams.succeed("GET", "/\(stream)/analytics")
            #expect("\(numbers)".contains("DE"), "\(numbers)")
        }
    }

    @Test func `a server that says nothing for long has nobody any more`() async throws {
        try await AnsweringServer.with { silent in
            let servers: JSON = [
                [
                    "name": "srs", "kind": "srs", "secret": .string(Self.secret), "statistics": .string(silent.url),
                ]
            ]
            try await Self.with(servers: servers, environment: ["STREAM_METRICS_MEDIA_UNKNOWN_SECONDS": "30"]) {
                stage in
                let stream = try await stage.streams.create()
                #expect(try await stage.tell("on_publish", stream, client: "encoder") == 200)
                try await Suite.eventually("it is unknown", within: .seconds(60)) {
                    try await stage.streams.succeed("GET", "/\(stream)/health")["signal"] == "unknown"
                }
                #expect(try await stage.status(stream) == "live")
                try await Suite.eventually("it has ended", within: .seconds(90)) {
                    try await stage.status(stream) == "ended"
                }
                let ended = try await stage.streams.succeed("GET", "/\(stream)")
                let moments = ["started_at", "ended_at"].compactMap {
                    ended[$0]?.string.flatMap { Timestamp(iso8601: $0) }
                }
                // When it was last heard of, not when the patience was over.
                #expect(moments.count == 2 && moments[1] - moments[0] < .seconds(5), "\(ended)")
            }
        }
    }
}
