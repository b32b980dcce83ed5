import Events
import TestSupport
import Testing

/// For every dialect: a real event that a REST call caused, a refused credential, and a malformed message.
@Suite("Dialects, end to end", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct DialectsEndToEndTests {
    @Test func `every dialect gets the event of a REST call`() async throws { try await Self.hear() }

    /// - Parameter tls: clients speak it.
    static func hear(tls: TestAuthority? = nil) async throws {
        try await Suite.with(tls: tls) { suite in
            let token = try await suite.token()
            let key = try await suite.token("apikey")
            let opaque = try await suite.token("oauth2")

            let saver = try await suite.connect(0, "/")
            try await saver.send(["action": "subscribe", "events": ["sources:*"]])
            #expect(try await saver.next()["event"] == "subscription:confirmed")

            let astro = try await suite.connect(1, "/")
            #expect(try await astro.next()["type"] == "welcome")
            for (token, kind) in [(token, "jwt"), (opaque, "oauth2"), (key, "apikey")] {
                try await astro.send([
                    "type": "subscribe", "nonce": "n1",
                    "data": ["topic": "channel.activities", "token": .string(token), "token_type": .string(kind)],
                ])
                let response = try await astro.next()
                #expect(response["error"] == Optional<JSON>.none, "\(response)")
                #expect(response["data"]?["room"] == "default")
            }

            let stream = try #require(
                try await suite.request(
                    "POST", .streamMetrics, "/v1/streams", ["title": "Show", "protocol": "rtmp"], token: token)["id"]?
                    .string)
            let wave = try await suite.connect(2, "/v1/streams?api_key=\(key)")
            try await wave.send(["type": "subscribe", "stream_id": .string(stream)])
            #expect(try await wave.next()["type"] == "subscribed")

            let station = try #require(
                try await suite.request("POST", .radioPlayout, "/api/v1/stations", ["name": "One"], token: token)["id"]?
                    .string)
            let grimnir = try await suite.connect(3, "/api/v1/events?token=\(token)")

            let camera = try #require(
                try await suite.request(
                    "POST", .cameraEvents, "/v1/cameras", ["name": "Door", "source_url": "rtsp://192.0.2.1/s"],
                    token: token)["id"]?
                    .string)
            let airys = try await suite.connect(4, "/v1/stream")
            try await airys.send(["type": "auth", "token": .string(key)])
            #expect(try await airys.next()["type"] == "auth_success")
            #expect(try await airys.next()["event"] == "status")

            try await suite.request(
                "POST", .obsBridge, "/api/sources",
                ["name": "Alert", "url": "https://example.com", "width": 800, "height": 600])
            let created = try await saver.next { $0["event"] == "sources:create" }
            #expect(created["data"]?["source"]?["name"] == "Alert")
            #expect(created["id"]?.string?.hasPrefix("msg-") == true)

            try await suite.request(
                "POST", .streamMetrics, "/kappa/v2/activities/default",
                ["type": "follow", "provider": "twitch", "data": ["username": "bob"]], token: token)
            let activity = try await astro.next { $0["type"] == "message" }
            #expect(activity["topic"] == "channel.activities")
            #expect(activity["data"]?["data"]?["username"] == "bob")

            try await suite.request("POST", .streamMetrics, "/v1/streams/\(stream)/start", token: token)
            #expect(try await wave.next { $0["type"] == "stream.started" }["payload"]?["stream_id"] == .string(stream))
            try await wave.send(["type": "chat.message", "stream_id": .string(stream), "message": "hello"])
            #expect(try await wave.next { $0["type"] == "chat.message" }["payload"]?["message"] == "hello")

            try await suite.request(
                "POST", .radioPlayout, "/api/v1/webhooks/track-start",
                ["station_id": .string(station), "title": "Song"],
                token: token)
            #expect(try await grimnir.next { $0["type"] == "now_playing" }["payload"]?["title"] == "Song")

            try await suite.request(
                "POST", .cameraEvents, "/v1/cameras/\(camera)/detections",
                ["confidence": 0.9, "bounding_box": ["x": 1, "y": 2, "width": 3, "height": 4]], token: token)
            #expect(try await airys.next { $0["type"] == "face_detected" }["data"]?["camera_id"] == .string(camera))

            // Nothing came twice: the next thing that each hears is the answer to a new question.
            try await saver.send(["action": "ping"])
            #expect(try await saver.next()["event"] == "pong")
            try await wave.send(["type": "ping", "timestamp": 1])
            #expect(try await wave.next()["type"] == "pong")
            try await airys.send(["type": "ping"])
            #expect(try await airys.next()["type"] == "pong")
        }
    }

    @Test func `every dialect refuses a wrong credential in its own way, and survives a malformed message`()
        async throws
    { try await Self.refuse() }

    /// - Parameter tls: clients speak it.
    static func refuse(tls: TestAuthority? = nil) async throws {
        try await Suite.with([.auth], tls: tls) { suite in
            let token = try await suite.token()
            let refused = await #expect(throws: WebSocketRefused.self) {
                _ = try await suite.connect(0, "/?token=wrong")
            }
            #expect(refused?.status == 401)
            let saver = try await suite.connect(0, "/")
            try await saver.send(text: "{nonsense")
            #expect(try await saver.next()["data"]?["code"] == "INVALID_JSON")
            try await saver.send(["action": "ping"])
            #expect(try await saver.next()["event"] == "pong")

            let astro = try await suite.connect(1, "/")
            _ = try await astro.next()
            try await astro.send([
                "type": "subscribe", "data": ["topic": "channel.activities", "token": "wrong", "token_type": "apikey"],
            ])
            #expect(try await astro.next()["error"] == "err_unauthorized")
            try await astro.send(text: "[1,")
            #expect(try await astro.next()["error"] == "err_bad_request")

            let wave = try await suite.connect(2, "/v1/streams?api_key=wave_live_wrong")
            #expect(try await wave.next()["payload"]?["code"] == "AUTHENTICATION_REQUIRED")
            #expect(try await wave.closeCode() == 4401)
            let listener = try await suite.connect(2, "/v1/streams?api_key=\(token)")
            try await listener.send(text: "nonsense")
            #expect(try await listener.next()["payload"]?["code"] == "VALIDATION_ERROR")
            try await listener.send(["type": "ping", "timestamp": 7])
            #expect(try await listener.next()["payload"]?["timestamp"] == 7)

            let forbidden = await #expect(throws: WebSocketRefused.self) {
                _ = try await suite.connect(3, "/api/v1/events?token=a.b.c")
            }
            #expect(forbidden?.status == 401)
            #expect(forbidden?.headers["www-authenticate"] == "Bearer")
            let grimnir = try await suite.connect(3, "/api/v1/events", headers: [("Authorization", "Bearer \(token)")])
            try await grimnir.send(text: "nonsense")
            #expect(try await grimnir.next(within: .seconds(20)) == ["type": "ping"])

            let camera = try await suite.connect(4, "/v1/stream?token=\(token)")
            try await camera.send(text: "nonsense")
            #expect(try await camera.next { $0["type"] == "error" }["data"]?["code"] == "INVALID_MESSAGE")
            let airys = try await suite.connect(4, "/v1/stream")
            try await airys.send(["type": "auth", "token": "wrong"])
            #expect(try await airys.next()["data"]?["code"] == "AUTH_FAILED")
            #expect(try await airys.closeCode() == 4401)
        }
    }

    @Test func `an unknown path, a missing upgrade and a wrong version are answered in HTTP`() async throws {
        try await Suite.with([]) { suite in
            for (path, status) in [("/nowhere", 404), ("/", 426), ("/api/v1/events", 426), ("/api/sources", 404)] {
                let answer = try await HTTPClient.request("GET", port: suite.edgePort(), path: path)
                #expect(answer.status == status, "\(path)")
            }
            let refused = await #expect(throws: WebSocketRefused.self) {
                _ = try await suite.connect(0, "/", headers: [("Sec-WebSocket-Version", "8")])
            }
            #expect(refused?.status == 426)
            #expect(refused?.headers["sec-websocket-version"] == "13")
            let long = await #expect(throws: WebSocketRefused.self) {
                _ = try await suite.connect(0, "/?x=" + String(repeating: "y", count: 20_000))
            }
            #expect(long?.status == 431)
        }
    }
}
