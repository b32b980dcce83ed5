import Database
import Events
import Foundation
import NIOHTTP1
import TestSupport
import Testing

/// Thousands of streams at an SRS whose hooks are lost, doubled and out of order. SRS itself does not run here: what it posts is what its
/// documentation says, and its lists of streams and clients are the truth of this test. `CROSSPOINT_MEDIA_STORM=10000` makes it so many.
@Suite("Media storm", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct MediaStormTests {
    private static let streamCount =
        ProcessInfo.processInfo.environment["CROSSPOINT_MEDIA_STORM"].flatMap { Int($0) } ?? 2000
    private static let secret = "a secret of the storm"

    /// What really happened to one stream.
    private struct Story: Sendable {
        let stream: String
        let publisher: String
        let player: String?
        let hasPlayerLeft: Bool
        let hasEnded: Bool

        init(_ number: Int, _ random: inout some RandomNumberGenerator) {
            self.stream =
                "stream_\(ULID(at: Timestamp(milliseconds: 1_700_000_000_000 + Int64(number))).text.lowercased())"
            self.publisher = "pub\(number)"
            self.player = Bool.random(using: &random) ? "play\(number)" : nil
            self.hasEnded = Int.random(in: 0..<10, using: &random) < 4
            self.hasPlayerLeft = Bool.random(using: &random)
        }

        var watches: Bool { self.player != nil && !self.hasPlayerLeft && !self.hasEnded }

        func hooks(key: String) -> [JSON] {
            func hook(_ action: String, _ client: String) -> JSON {
                [
                    "action": .string(action), "client_id": .string(client), "ip": "192.0.2.1", "vhost": "v",
                    "app": "live", "stream": .string(self.stream), "param": .string("?key=\(key)"),
                ]
            }
            var hooks = [hook("on_publish", self.publisher)]
            if let player {
                hooks.append(hook("on_play", player))
                if self.hasPlayerLeft || self.hasEnded { hooks.append(hook("on_stop", player)) }
            }
            if self.hasEnded { hooks.append(hook("on_unpublish", self.publisher)) }
            return hooks
        }
    }

    @Test func `hooks that are lost, doubled and out of order end with every state right`() async throws {
        var random = SystemRandomNumberGenerator()
        let stories = (0..<Self.streamCount).map { Story($0, &random) }
        try await AnsweringServer.with { srs in
            try await PostgresFixture.withDatabase { url in
                let file = FileManager.default.temporaryDirectory.appending(path: "storm-\(UUID().uuidString).json")
                let servers: JSON = [
                    [
                        "name": "storm", "kind": "srs", "secret": .string(Self.secret),
                        "statistics": .string(srs.url),
                    ]
                ]
                try Data(servers.bytes).write(to: file)
                // `try?`: it lies in the folder for temporary files.
                defer { try? FileManager.default.removeItem(at: file) }
                try await Suite.with(
                    [.auth, .streamMetrics], gateways: 0, databaseURL: url,
                    environment: [
                        "STREAM_METRICS_MEDIA_SERVERS_FILE": file.path, "STREAM_METRICS_MEDIA_GRACE_SECONDS": "2",
                        "LOG_LEVEL": "info",
                    ]
                ) { suite in
                    try await Self.run(stories, suite, srs, url)
                }
            }
        }
    }

    private static func run(
        _ stories: [Story], _ suite: Suite, _ srs: AnsweringServer, _ url: String
    ) async throws {
        let client = try await StreamsClient(suite)
        let made = try await suite.request(
            "POST", .auth, "/v1/auth/keys", ["name": "encoders", "scopes": ["streams:write"]], token: client.token)
        let key = try #require(made["key"]?.string)
        try await Suite.query(
            url, schema: "stream_metrics",
            """
            INSERT INTO streams (id, tenant, title, protocol, status, recording, transcoding, created_at, updated_at)
            SELECT id, \(client.tenant), id, 'rtmp', 'idle', '{}', '{}', now(), now() FROM unnest(\(stories.map(\.stream))) AS id
            """)

        let hooks = Self.perturbed(stories.map { $0.hooks(key: key) })
        let start = ContinuousClock.now
        try await Self.send(hooks, suite.port(.streamMetrics))
        let seconds = (ContinuousClock.now - start) / .seconds(1)

        // From here on the server answers what is true.
        let (streams, clients) = (Self.streams(stories), Self.clients(stories))
        srs.serve { uri in
            let page = uri.components(separatedBy: "start=").last.flatMap { Int($0.prefix { $0.isNumber }) } ?? 0
            let (name, list) = uri.contains("/streams") ? ("streams", streams) : ("clients", clients)
            let part = list.dropFirst(page).prefix(1000).joined(separator: ",")
            return (.ok, #"{"code":0,"\#(name)":[\#(part)]}"#)
        }
        let live = Set(stories.filter { !$0.hasEnded }.map(\.stream))
        let watched = Set(stories.filter(\.watches).map(\.stream))
        try await Suite.eventually("every state is right", within: .seconds(120)) {
            // Not so often that the question is the load.
            try await Task.sleep(for: .seconds(1))
            return try await Self.states(url) == [live, watched]
        }
        // And they stay so.
        try await Suite.holds("every state is right", for: .seconds(12)) {
            try await Task.sleep(for: .seconds(2))
            return try await Self.states(url) == [live, watched]
        }
        // Nothing is twice: no stream followed another, nobody watches one twice.
        #expect(try await Self.ids(url, "SELECT id FROM streams").count == stories.count)
        #expect(
            try await Self.ids(url, "SELECT id FROM viewers WHERE left_at IS NULL").count == watched.count)
        let report = try await suite.request("GET", .streamMetrics, "/v1/media/servers", token: try suite.ownerKey)
        let server = try #require(report["data"]?.array?.first)
        let (adopted, ended) = (server["adopted"]?.double ?? 0, server["ended"]?.double ?? 0)
        print(
            "Hook storm: \(stories.count) streams, \(hooks.count) hooks in \(Int(seconds)) s (\(Int(Double(hooks.count) / seconds))/s);",
            "reconciliation took in \(Int(adopted)) and ended \(Int(ended)); live \(live.count), watched \(watched.count)"
        )
        #expect(adopted > Double(live.count) / 20 && ended > Double(stories.count - live.count) / 20)
    }

    /// 10 % are lost, 10 % come twice, and of 10 % of the streams they come in another order.
    private static func perturbed(_ stories: [[JSON]]) -> [JSON] {
        var hooks: [(place: Double, hook: JSON)] = []
        for (number, story) in stories.enumerated() {
            var story = story
            if Int.random(in: 0..<10) == 0 { story.shuffle() }
            for (step, hook) in story.enumerated() where Int.random(in: 0..<10) != 0 {
                // Of several streams at a time; its own far enough apart to keep their order.
                let place = Double(number) + Double(step) * 200
                hooks.append((place, hook))
                if Int.random(in: 0..<10) == 0 { hooks.append((place + Double.random(in: 0..<600), hook)) }
            }
        }
        return hooks.sorted { $0.place < $1.place }.map(\.hook)
    }

    /// Each is answered 200, or it is sent again, as SRS does not: here nothing but what is meant to be lost is.
    private static func send(_ hooks: [JSON], _ port: Int) async throws {
        let path = "/hooks/storm?secret=" + Self.secret.replacing(" ", with: "%20")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, hook) in hooks.enumerated() {
                if number >= 32 { try await group.next() }
                group.addTask {
                    let answer = try await HTTPClient.request(
                        "POST", port: port, path: path, headers: [("content-type", "application/json")],
                        body: hook.bytes)
                    #expect(
                        answer.status == 200 && answer.body == Array("0".utf8),
                        "\(hook) \(String(decoding: answer.body, as: UTF8.self))")
                }
            }
            try await group.waitForAll()
        }
    }

    private static func streams(_ stories: [Story]) -> [String] {
        stories.enumerated().filter { !$0.element.hasEnded }.map { number, story in
            #"{"id":"v\#(number)","name":"\#(story.stream)","frames":0,"recv_bytes":0,"publish":{"active":true,"cid":"\#(story.publisher)"}}"#
        }
    }

    private static func clients(_ stories: [Story]) -> [String] {
        stories.enumerated().filter { !$0.element.hasEnded }.flatMap { number, story in
            let publisher =
                #"{"id":"\#(story.publisher)","stream":"v\#(number)","ip":"192.0.2.1","publish":true,"alive":60}"#
            guard story.watches, let player = story.player else { return [publisher] }
            return [
                publisher, #"{"id":"\#(player)","stream":"v\#(number)","ip":"192.0.2.1","publish":false,"alive":50}"#,
            ]
        }
    }

    /// Which streams are live, and which are watched.
    private static func states(_ url: String) async throws -> [Set<String>] {
        [
            try await Self.ids(url, "SELECT id FROM streams WHERE status = 'live'"),
            try await Self.ids(url, "SELECT DISTINCT stream AS id FROM viewers WHERE left_at IS NULL"),
        ]
    }

    private static func ids(_ url: String, _ query: Query) async throws -> Set<String> {
        Set(
            try await Suite.query(url, schema: "stream_metrics", query).map { row throws(DatabaseError) in
                try row.decode("id")
            })
    }
}
