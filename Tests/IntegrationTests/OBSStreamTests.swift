import Events
import Foundation
import TestSupport
import Testing

/// A stream that is bound to a real OBS, which streams to a real RTMP server.
@Suite(
    "OBS stream", .enabled(if: OBSStudio.isEnabled && RTMPListener.isAvailable, OBSStudio.reason), .serialized)
struct OBSStreamTests {
    @Test func `a stream lives as long as the output of its OBS, and a new one follows`() async throws {
        try await Suite.with([.auth, .obsBridge, .streamMetrics]) { suite in
            try await OBSFixture.with { obs in
                let token = try await suite.token(scope: "*")
                let api = OBSClient(suite, token: token)
                let draft: JSON = ["title": "Show", "protocol": "rtmp"]
                let created = try await suite.request("POST", .streamMetrics, "/v1/streams", draft, token: token)
                let first = try #require(created["id"]?.string)
                let client = try await suite.connect(2, "/v1/streams?api_key=\(token)")
                try await client.send(["type": "subscribe", "stream_id": .string(first)])
                #expect(try await client.next()["type"] == "subscribed")
                try await api.connect(obs, ["streamId": .string(first)])

                try await Self.stream(api, obs) {
                    let started = try await client.next(within: .seconds(20)) { $0["type"] == "stream.started" }
                    #expect(
                        started["payload"]?["stream_id"]?.string == first && started["payload"]?["protocol"] == "rtmp")
                    let health = try await client.next(within: .seconds(30)) {
                        $0["type"] == "stream.health" && $0["payload"]?["bitrate"]?.double != nil
                    }
                    // What the fixture's encoder is set to, and no more than twice of it.
                    let bitrate = health["payload"]?["bitrate"]?.double ?? 0
                    #expect(bitrate > 1 && bitrate < 1500, "\(health)")
                    #expect((health["payload"]?["fps"]?.double ?? 0) > 1)
                    #expect(0...1 ~= health["payload"]?["packet_loss"]?.double ?? -1)
                    #expect(health["payload"]?["latency"] == .null)
                }
                let ended = try await client.next(within: .seconds(20)) { $0["type"] == "stream.ended" }
                #expect(ended["payload"]?["stream_id"]?.string == first)
                #expect(try await api.resource["streamId"]?.string == first)

                try await Self.stream(api, obs) {
                    try await Suite.eventually("another stream follows", within: .seconds(60)) {
                        try await api.resource["streamId"]?.string != first
                    }
                    let second = try #require(try await api.resource["streamId"]?.string)
                    let stream = try await suite.request("GET", .streamMetrics, "/v1/streams/\(second)", token: token)
                    #expect(stream["status"] == "live" && stream["title"] == "Show")
                    // Stopped by hand it stays stopped, though OBS goes on.
                    let path = "/v1/streams/\(second)/stop"
                    #expect(try await suite.request("POST", .streamMetrics, path, token: token).status == 200)
                    try await Suite.holds("no third stream", for: .seconds(7)) {
                        try await api.resource["streamId"]?.string == second
                    }
                }
            }
        }
    }

    /// Runs `body` while OBS streams.
    private static func stream(_ api: OBSClient, _ obs: OBSFixture, _ body: () async throws -> Void) async throws {
        try await RTMPListener.with { address in
            try await obs.setStreamServer(address, key: RTMPListener.key)
            let started = try await api.succeed("POST", "/stream/start")
            #expect(started["active"] == true)
            #expect(try await api.send("POST", "/stream/start").status == 409)
            try await body()
            let stopped = try await api.succeed("POST", "/stream/stop")
            #expect(stopped["active"] == false)
            #expect(try await api.send("POST", "/stream/stop").status == 409)
        }
    }
}
