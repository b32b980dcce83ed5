import Database
import Events
import Foundation
import TestSupport
import Testing

/// Publishers that come while Postgres is away.
@Suite("Media outage", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct MediaOutageTests {
    private static let secret = "a secret of the outage"
    private static let outage = Duration.seconds(60)
    private static let streamCount = 300

    @Test func `a hook is stored before it is answered, or refused to be repeated`() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "outage-\(UUID().uuidString).json")
        let servers: JSON = [["name": "outage", "kind": "srs", "secret": .string(Self.secret)]]
        try Data(servers.bytes).write(to: file)
        // `try?`: it lies in the folder for temporary files.
        defer { try? FileManager.default.removeItem(at: file) }
        try await PostgresFixture.with { postgres in
            try await Suite.with(
                [.auth, .streamMetrics], gateways: 0, databaseURL: postgres.url,
                environment: ["STREAM_METRICS_MEDIA_SERVERS_FILE": file.path]
            ) { suite in
                let client = try await StreamsClient(suite)
                var streams: [String] = []
                for _ in 0..<Self.streamCount { streams.append(try await client.create()) }
                let made = try await suite.request(
                    "POST", .auth, "/v1/auth/keys", ["name": "encoder", "scopes": ["streams:write"]],
                    token: client.token)
                let key = try #require(made["key"]?.string)

                async let outage: Void = Self.interrupt(postgres)
                var (refused, acknowledged) = (0, Set<String>())
                let start = ContinuousClock.now
                for (number, stream) in streams.enumerated() {
                    // Spread over the outage and a while before and after it.
                    try await ContinuousClock().sleep(
                        until: start + (Self.outage + .seconds(10)) * Double(number) / Double(streams.count))
                    let answer = try await Self.publish(stream, key, suite.port(.streamMetrics))
                    switch answer.status {
                    case 200: acknowledged.insert(stream)
                    case 503:
                        #expect(answer.headers["retry-after"] != nil)
                        refused += 1
                    default: Issue.record("\(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
                    }
                }
                try await outage
                try await suite.waitUntilReady(.streamMetrics)
                let stored = try await Self.stored(postgres.url)
                #expect(acknowledged.isSubset(of: stored))
                print(
                    "Postgres away for \(Self.outage): \(streams.count) hooks, \(acknowledged.count) acknowledged and stored,",
                    "\(refused) refused, \(acknowledged.subtracting(stored).count) lost")
                #expect(refused > streams.count / 2 && acknowledged.count > 10)

                // Who was refused comes again, and whoever has come before changes nothing.
                for stream in streams {
                    try await Suite.eventually("the hook is taken") {
                        try await Self.publish(stream, key, suite.port(.streamMetrics)).status == 200
                    }
                }
                #expect(try await Self.stored(postgres.url) == Set(streams))
                let live = try await Suite.query(
                    postgres.url, schema: "stream_metrics", "SELECT id FROM streams WHERE status = 'live'")
                #expect(live.count == streams.count)
                let started = try await Suite.query(
                    postgres.url, schema: "stream_metrics",
                    "SELECT room AS id FROM event_log WHERE type = 'stream.started'")
                #expect(started.count == streams.count)
            }
        }
    }

    private static func interrupt(_ postgres: PostgresFixture) async throws {
        try await Task.sleep(for: .seconds(5))
        try await postgres.stop()
        try await Task.sleep(for: Self.outage)
        try await postgres.start()
    }

    private static func publish(_ stream: String, _ key: String, _ port: Int) async throws -> HTTPClient.Answer {
        let hook: JSON = [
            "action": "on_publish", "client_id": .string("client of \(stream)"), "ip": "192.0.2.1", "vhost": "v",
            "app": "live", "stream": .string(stream), "param": .string("?key=\(key)"),
        ]
        return try await HTTPClient.request(
            "POST", port: port, path: "/hooks/outage?secret=\(Self.secret.replacing(" ", with: "%20"))",
            headers: [("content-type", "application/json")], body: hook.bytes)
    }

    private static func stored(_ url: String) async throws -> Set<String> {
        Set(
            try await Suite.query(
                url, schema: "stream_metrics", "SELECT name AS id FROM media_sessions WHERE stream IS NOT NULL"
            ).map { row throws(DatabaseError) in try row.decode("id") })
    }
}
