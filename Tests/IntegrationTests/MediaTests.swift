import Database
import Events
import Foundation
import TestSupport
import Testing

/// Streams that ffmpeg publishes to a real nginx-rtmp.
@Suite(
    "Media", .enabled(if: Suite.isEnabled && NginxRTMPFixture.isAvailable, Suite.reason), .serialized)
struct MediaTests {
    private struct Stage {
        let suite: Suite
        let nginx: NginxRTMPFixture
        let streams: StreamsClient
        let stream: String
        /// What its encoder shows. nginx hands on no more than 255 characters of a query, and a token has more.
        let key: String
        let socket: WebSocketClient
        let databaseURL: String

        func status() async throws -> JSON? { try await self.streams.succeed("GET", "/\(self.stream)")["status"] }

        func moment(_ name: String) async throws -> Timestamp? {
            try await self.streams.succeed("GET", "/\(self.stream)")[name]?.string.flatMap { Timestamp(iso8601: $0) }
        }

        /// The event comes before nginx has its answer: an encoder that nginx lets in is in its statistics.
        func untilPublished() async throws {
            try await Suite.eventually("nginx has let the encoder in", within: .seconds(60)) {
                let list = try await self.suite.request(
                    "GET", .streamMetrics, "/v1/media/servers", token: try self.suite.ownerKey)
                return list["data"]?.array?.first?["state"] == "known"
                    && list["data"]?.array?.first?["publishers"] == 1
            }
        }
    }

    /// A stream that nobody publishes yet, with a client that hears all of it.
    /// - Parameter grace: how many seconds an encoder is waited for.
    private static func with(grace: Int = 4, _ body: (Stage) async throws -> Void) async throws {
        try await NginxRTMPFixture.with { nginx in
            try await PostgresFixture.withDatabase { url in
                try await Suite.with(
                    [.auth, .streamMetrics], databaseURL: url, environment: try nginx.environment(grace: grace)
                ) { suite in
                    try await nginx.start(hooksTo: suite)
                    let streams = try await StreamsClient(suite)
                    let stream = try await streams.create()
                    let key = try await Self.key(streams, scope: "streams:write").key
                    let socket = try await suite.connect(2, "/v1/streams?api_key=\(streams.token)")
                    try await socket.send(["type": "subscribe", "stream_id": .string(stream)])
                    #expect(try await socket.next()["type"] == "subscribed")
                    try await body(
                        Stage(
                            suite: suite, nginx: nginx, streams: streams, stream: stream, key: key, socket: socket,
                            databaseURL: url))
                }
            }
        }
    }

    private static func key(_ client: StreamsClient, scope: String) async throws -> (id: String, key: String) {
        let made = try await client.suite.request(
            "POST", .auth, "/v1/auth/keys", ["name": "encoder", "scopes": [.string(scope)]], token: client.token)
        return (try #require(made["id"]?.string), try #require(made["key"]?.string))
    }

    @Test func `a stream is live as long as its encoder, with measured health and its players`() async throws {
        try await Self.with { stage in
            let encoder = try stage.nginx.publish(stage.stream, key: stage.key)
            let started = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "stream.started" }
            #expect(started["payload"]?["stream_id"] == .string(stage.stream))
            let player = try stage.nginx.play(stage.stream)
            let joined = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "viewer.joined" }
            #expect(joined["payload"]?["device"] == "desktop" && joined["payload"]?["country"] == .some(.null))
            let health = try await stage.socket.next(within: .seconds(60)) {
                $0["type"] == "stream.health" && $0["payload"]?["bitrate"]?.double != nil
            }
            let bitrate = health["payload"]?["bitrate"]?.double ?? 0
            #expect(bitrate > Double(NginxRTMPFixture.bitrate) / 3, "\(health)")
            #expect(bitrate < Double(NginxRTMPFixture.bitrate) * 3, "\(health)")
            #expect(health["payload"]?["fps"] == 15)
            #expect(health["payload"]?["latency"] == .some(.null))
            #expect(try await stage.streams.succeed("GET", "/\(stage.stream)/health")["signal"] == "live")

            try await NginxRTMPFixture.kill(player)
            let left = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "viewer.left" }
            #expect(left["payload"]?["viewer_id"] == joined["payload"]?["viewer_id"])
            let killed = try await NginxRTMPFixture.kill(encoder)
            let ended = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "stream.ended" }
            let endedAt = try #require(ended["payload"]?["ended_at"]?.string.flatMap { Timestamp(iso8601: $0) })
            #expect(abs(endedAt.milliseconds - killed.milliseconds) < 5000)

            // nginx recorded it, and said so before the end.
            let recording = try #require(ended["payload"]?["recording_id"]?.string)
            let recordings = try await stage.streams.succeed("GET", "/\(stage.stream)/recordings")
            #expect(recordings["data"]?.array?.compactMap { $0["id"]?.string } == [recording])
            #expect(recordings["data"]?.array?.first?["path"]?.string?.hasSuffix(".flv") == true)
        }
    }

    @Test func `an encoder that comes back in time goes on, and later it is another stream`() async throws {
        try await Self.with(grace: 15) { stage in
            var encoder = try stage.nginx.publish(stage.stream, key: stage.key)
            _ = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "stream.started" }
            try await NginxRTMPFixture.kill(encoder)
            encoder = try stage.nginx.publish(stage.stream, key: stage.key)
            // The first one's end is settled by now.
            try await Suite.holds("the stream is live", for: .seconds(20)) { try await stage.status() == "live" }
            try await NginxRTMPFixture.kill(encoder)
            _ = try await stage.socket.next(within: .seconds(90)) { $0["type"] == "stream.ended" }
            #expect(try await stage.status() == "ended")

            encoder = try stage.nginx.publish(stage.stream, key: stage.key)
            try await Suite.eventually("another stream follows") {
                let list = try await stage.streams.succeed("GET", "")["data"]?.array ?? []
                return list.count == 2 && list[0]["status"] == "live" && list[0]["title"] == "Show"
            }
            #expect(try await stage.status() == "ended")
            try await NginxRTMPFixture.kill(encoder)
        }
    }

    @Test func `a key that is not good for the stream is refused`() async throws {
        try await Self.with { stage in
            func refused(_ stream: String, _ key: String) async throws {
                let encoder = try stage.nginx.publish(stream, key: key)
                try await Suite.eventually("the encoder gives up") { !encoder.isRunning }
            }
            let stranger = try await Self.key(StreamsClient(stage.suite), scope: "streams:write").key
            let reader = try await Self.key(stage.streams, scope: "streams:read").key
            for key in ["", "xp_no", stranger, reader] { try await refused(stage.stream, key) }
            try await refused("stream_01m7z44725ek86gj77ygxb558a", stage.key)
            #expect(try await stage.status() == "idle")

            let (id, key) = try await Self.key(stage.streams, scope: "streams:write")
            let encoder = try stage.nginx.publish(stage.stream, key: key)
            _ = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "stream.started" }
            try await NginxRTMPFixture.kill(encoder)
            _ = try await stage.suite.request("DELETE", .auth, "/v1/auth/keys/\(id)", token: stage.streams.token)
            try await refused(stage.stream, key)
        }
    }

    @Test func `a media server that is away makes it unknown, and one that comes back settles it`() async throws {
        try await Self.with { stage in
            _ = try stage.nginx.publish(stage.stream, key: stage.key)
            _ = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "stream.started" }
            func signal() async throws -> JSON? {
                try await stage.streams.succeed("GET", "/\(stage.stream)/health")["signal"]
            }
            try await stage.untilPublished()
            let killed = Timestamp.now
            try await stage.nginx.kill()
            try await Suite.eventually("it is unknown", within: .seconds(90)) { try await signal() == "unknown" }
            #expect(try await stage.status() == "live")
            try await stage.nginx.start(hooksTo: stage.suite)
            let ended = try await stage.socket.next(within: .seconds(90)) { $0["type"] == "stream.ended" }
            let endedAt = try #require(ended["payload"]?["ended_at"]?.string.flatMap { Timestamp(iso8601: $0) })
            // As far as anybody can know: when it was seen last.
            #expect(abs(endedAt.milliseconds - killed.milliseconds) < 7000)
            #expect(try await signal() == "offline")
        }
    }

    @Test func `what ended while stream-metrics was down ends when it did`() async throws {
        try await Self.with { stage in
            let encoder = try stage.nginx.publish(stage.stream, key: stage.key)
            _ = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "stream.started" }
            try await stage.untilPublished()
            try await stage.suite.kill9(.streamMetrics)
            // Longer than what the last statistics could explain.
            try await Task.sleep(for: .seconds(10))
            let killed = try await NginxRTMPFixture.kill(encoder)
            try await Task.sleep(for: .seconds(3))
            try stage.suite.start(.streamMetrics)
            try await stage.suite.waitUntilReady(.streamMetrics)
            try await Suite.eventually("the stream has ended", within: .seconds(90)) {
                try await stage.status() == "ended"
            }
            let endedAt = try #require(try await stage.moment("ended_at"))
            #expect(abs(endedAt.milliseconds - killed.milliseconds) < 5000, "\(endedAt.iso8601) \(killed.iso8601)")
        }
    }

    @Test func `a publisher of whom no hook told is found`() async throws {
        try await Self.with { stage in
            _ = try stage.nginx.publish(stage.stream, key: stage.key)
            let started = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "stream.started" }
            let began = try #require(started["payload"]?["started_at"]?.string.flatMap { Timestamp(iso8601: $0) })
            // As if it had never been heard of.
            try await stage.streams.succeed("POST", "/\(stage.stream)/stop")
            try await Suite.query(stage.databaseURL, schema: "stream_metrics", "DELETE FROM media_sessions")
            try await Suite.eventually("it is taken in", within: .seconds(60)) {
                let list = try await stage.streams.succeed("GET", "")["data"]?.array ?? []
                return list.first?["status"] == "live" && list.first?["id"]?.string != stage.stream
            }
            let list = try await stage.streams.succeed("GET", "")["data"]?.array ?? []
            let startedAt = try #require(list.first?["started_at"]?.string.flatMap { Timestamp(iso8601: $0) })
            #expect(abs(startedAt.milliseconds - began.milliseconds) < 4000)
            try await Suite.eventually("it is counted") {
                let servers = try await stage.suite.request(
                    "GET", .streamMetrics, "/v1/media/servers", token: try stage.suite.ownerKey)
                return servers["data"]?.array?.first?["adopted"] == 1
            }
        }
    }

    @Test func `a query can say nothing in nginx's place`() async throws {
        try await Self.with { stage in
            let victim = try stage.nginx.publish(stage.stream, key: stage.key)
            _ = try await stage.socket.next(within: .seconds(60)) { $0["type"] == "stream.started" }
            let other = try await stage.streams.create()
            for query in [
                "call=update_publish", "%63all=publish_done&name=\(stage.stream)", "clientid=1&key=\(stage.key)",
            ] {
                let encoder = try stage.nginx.publish(other, key: "\(stage.key)&\(query)")
                try await Suite.eventually("the encoder is refused") { !encoder.isRunning }
            }
            try await Suite.holds("the other stream is live", for: .seconds(8)) { try await stage.status() == "live" }
            #expect(try await stage.streams.succeed("GET", "/\(other)")["status"] == "idle")
            try await NginxRTMPFixture.kill(victim)
        }
    }
}
