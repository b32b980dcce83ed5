import Events
import TestSupport
import Testing

/// An event of one tenant never reaches a client of another, whatever it subscribes to.
@Suite("Tenants", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct TenantTests {
    /// Sends something that is answered at once: whatever would have come before it, has come.
    private static func fence(_ client: WebSocketClient, _ question: JSON, _ isAnswer: (JSON) -> Bool) async throws
        -> [JSON]
    {
        try await client.send(question)
        var seen: [JSON] = []
        while true {
            let message = try await client.next()
            if isAnswer(message) { return seen }
            seen.append(message)
        }
    }

    @Test func `in every dialect, star included`() async throws {
        try await Suite.with { suite in
            let ours = try await suite.token(tenant: "ours")
            let theirs = try await suite.token(tenant: "theirs")

            let saver = try await suite.connect(0, "/?token=\(theirs)")
            try await saver.send(["action": "subscribe", "events": ["*"]])
            _ = try await saver.next { $0["event"] == "subscription:confirmed" }
            let anonymous = try await suite.connect(0, "/")
            try await anonymous.send(["action": "subscribe", "events": ["*"]])
            _ = try await anonymous.next { $0["event"] == "subscription:confirmed" }
            // The witness of the right tenant tells when all has arrived.
            let witness = try await suite.connect(0, "/?token=\(ours)")
            try await witness.send(["action": "subscribe", "events": ["*"]])
            _ = try await witness.next { $0["event"] == "subscription:confirmed" }

            let astro = try await suite.connect(1, "/")
            _ = try await astro.next()
            try await astro.send([
                "type": "subscribe",
                "data": ["topic": "channel.activities", "room": "ours", "token": .string(theirs), "token_type": "jwt"],
            ])
            #expect(try await astro.next()["error"] == "err_unauthorized")
            try await astro.send([
                "type": "subscribe",
                "data": ["topic": "channel.activities", "token": .string(theirs), "token_type": "jwt"],
            ])
            #expect(try await astro.next()["data"]?["room"] == "theirs")

            let stream = try #require(
                try await suite.request(
                    "POST", .streamMetrics, "/v1/streams", ["title": "Show", "protocol": "rtmp"], token: ours)["id"]?
                    .string)
            let wave = try await suite.connect(2, "/v1/streams?api_key=\(theirs)")
            try await wave.send(["type": "subscribe", "stream_id": .string(stream)])
            #expect(["NOT_FOUND", "FORBIDDEN"].contains(try await wave.next()["payload"]?["code"]?.string))
            try await wave.send(["type": "chat.message", "stream_id": .string(stream), "message": "intruder"])
            #expect(["NOT_FOUND", "FORBIDDEN"].contains(try await wave.next()["payload"]?["code"]?.string))

            let grimnir = try await suite.connect(3, "/api/v1/events?types=now_playing,health&token=\(theirs)")
            let airys = try await suite.connect(4, "/v1/stream?token=\(theirs)")
            try await airys.send(["type": "subscribe", "events": ["*"]])
            _ = try await airys.next { $0["type"] == "subscribed" }

            let station = try #require(
                try await suite.request("POST", .radioPlayout, "/api/v1/stations", ["name": "One"], token: ours)["id"]?
                    .string)
            let camera = try #require(
                try await suite.request(
                    "POST", .cameraEvents, "/v1/cameras", ["name": "Door", "source_url": "rtsp://192.0.2.1/s"],
                    token: ours)["id"]?
                    .string)
            for (service, path, body) in [
                (
                    ServiceName.obsBridge, "/api/sources",
                    ["name": "A", "url": "https://example.com", "width": 1, "height": 1] as JSON
                ),
                (
                    .streamMetrics, "/kappa/v2/activities/ours",
                    ["type": "follow", "provider": "twitch", "data": ["username": "bob"]]
                ),
                (.streamMetrics, "/v1/streams/\(stream)/start", [:]),
                (.radioPlayout, "/api/v1/webhooks/track-start", ["station_id": .string(station), "title": "Song"]),
                (
                    .cameraEvents, "/v1/cameras/\(camera)/detections",
                    ["confidence": 0.9, "bounding_box": ["x": 1, "y": 2, "width": 3, "height": 4]]
                ),
            ] {
                let answer = try await suite.request("POST", service, path, body, token: ours)
                #expect((200..<300).contains(answer.status), "\(path): \(answer.status) \(answer.body)")
            }
            var missing: Set = [
                "sources:create", "channel:activities", "stream:started", "radio:now_playing", "camera:face_detected",
            ]
            while !missing.isEmpty {
                if let event = try await witness.next()["event"]?.string { missing.remove(event) }
            }

            let foreign: Set<JSON?> = ["performance:update", "system:statusChange", "performance:alert"]
            for client in [saver, anonymous] {
                let seen = try await Self.fence(client, ["action": "ping"]) { $0["event"] == "pong" }
                #expect(seen.filter { !foreign.contains($0["event"]) } == [])
            }
            let heard = try await Self.fence(airys, ["type": "ping"]) { $0["type"] == "pong" }
            #expect(heard.filter { $0["type"] != "system" && $0["type"] != "performance.update" } == [])
            #expect(try await Self.fence(wave, ["type": "ping", "timestamp": 1]) { $0["type"] == "pong" } == [])
            let answers = try await Self.fence(astro, ["type": "nonsense"]) { $0["error"] == "invalid_message_type" }
            #expect(answers == [])
            // Grimnir has no question; its next message is the ping that comes every 15 s.
            #expect(try await grimnir.next(within: .seconds(20)) == ["type": "ping"])
        }
    }

    @Test func `stations of a token limit what its client hears`() async throws {
        try await Suite.with([.auth, .radioPlayout]) { suite in
            let owner = try await suite.token()
            var stations: [String] = []
            for name in ["One", "Two"] {
                let answer = try await suite.request(
                    "POST", .radioPlayout, "/api/v1/stations", ["name": .string(name)], token: owner)
                stations.append(try #require(answer["id"]?.string))
            }
            let limited = try #require(
                try await suite.request(
                    "POST", .auth, "/v1/tokens",
                    ["type": "jwt", "scope": "radio:read", "stations": [.string(stations[1])]],
                    token: try suite.ownerKey)["token"]?
                    .string)
            let client = try await suite.connect(3, "/api/v1/events?token=\(limited)")
            for station in stations {
                try await suite.request(
                    "POST", .radioPlayout, "/api/v1/webhooks/track-start",
                    ["station_id": .string(station), "title": "Song"],
                    token: owner)
            }
            #expect(try await client.next()["payload"]?["station_id"] == .string(stations[1]))
        }
    }

    @Test func `a credential without the scope may not write, and one without any may not either`() async throws {
        try await Suite.with { suite in
            let reader = try await suite.token(scope: "obs:read streams:read radio:read cameras:read activities:read")
            for (service, path) in [
                (ServiceName.obsBridge, "/api/sources"), (.streamMetrics, "/v1/streams"),
                (.streamMetrics, "/kappa/v2/activities/default"), (.radioPlayout, "/api/v1/stations"),
                (.cameraEvents, "/v1/cameras"),
                (.auth, "/v1/tokens"), (.auth, "/v1/auth/keys"),
            ] {
                let forbidden = try await suite.request("POST", service, path, ["name": "x"], token: reader)
                #expect(forbidden.status == 403, "\(path)")
                let wrong = try await suite.request("POST", service, path, ["name": "x"], token: "xp_wrong")
                #expect(wrong.status == 401, "\(path)")
                // Source Saver's own clients send no credential; from loopback they are the anonymous principal.
                guard service != .obsBridge else { continue }
                let nobody = try await suite.request("POST", service, path, ["name": "x"])
                #expect(nobody.status == 401, "\(path)")
            }
        }
    }
}
