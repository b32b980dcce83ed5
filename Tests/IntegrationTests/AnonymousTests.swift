import Events
import TestSupport
import Testing

/// Who sends no credential: nobody, or from this machine the anonymous principal of Source Saver's own clients.
@Suite("Anonymous", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AnonymousTests {
    /// What a client of the Source Saver dialect says is of one of these (contract source-saver §4).
    private static let categories: Set<String> = ["sources", "scenes", "obs", "performance", "system"]
    private static let trust = ["HTTP_TRUSTED_PROXIES": "127.0.0.1", "HTTP_ANONYMOUS": "true"]

    @Test func `a page of another site is nobody, one of this machine is not`() async throws {
        try await Suite.with([.obsBridge], gateways: 0) { suite in
            for origin in [
                "https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1.evil.example",
            ] {
                let answer = try await suite.request(
                    "POST", .obsBridge, "/api/sources", .donations, headers: [("Origin", origin)])
                #expect(answer.status == 401, "\(origin)")
            }
            for (number, origin) in ["http://localhost:8080", "http://127.0.0.1", "https://[::1]:3000"].enumerated() {
                let source: JSON = [
                    "name": .string("source \(number)"), "url": "https://example.com", "width": 8, "height": 6,
                ]
                let answer = try await suite.request(
                    "POST", .obsBridge, "/api/sources", source, headers: [("Origin", origin)])
                #expect(answer.status == 201, "\(origin)")
            }
        }
    }

    @Test func `whom a proxy carries is nobody, wherever a trusted one says they are`() async throws {
        try await Suite.with([.auth, .obsBridge, .performanceMonitor], environment: Self.trust) { suite in
            let api = SourcesClient(suite)
            let id = try await api.create("before")
            let token = try await suite.token()
            // The last address is the proxy's own word; those before it are the client's.
            for addresses in [
                "192.0.2.7", "127.0.0.1, 192.0.2.7", "127.0.0.1,192.0.2.7", "2001:db8::7", "192.0.2.7, 127.0.0.1",
                "127.0.0.1",
            ] {
                let forwarded = [("X-Forwarded-For", addresses)]
                for (method, path, body) in [
                    ("GET", "/api/sources", nil), ("POST", "/api/sources", .donations),
                    ("GET", "/api/sources/\(id)", nil),
                    ("PUT", "/api/sources/\(id)", ["width": 5]), ("DELETE", "/api/sources/\(id)", nil),
                    ("POST", "/api/sources/\(id)/activate", nil), ("GET", "/api/obs/status", nil),
                    ("GET", "/v1/events", nil),
                ] as [(String, String, JSON?)] {
                    let answer = try await suite.request(method, .obsBridge, path, body, headers: forwarded)
                    #expect(answer.isError(401, prefix: "Unauthorized"), "\(method) \(path) \(answer.body)")
                }
                for path in ["/api/config", "/api/performance/metrics", "/api/system/info", "/v1/events"] {
                    let answer = try await suite.request("GET", .performanceMonitor, path, headers: forwarded)
                    #expect(answer.status == 401, "\(path)")
                }
                let operators = try await HTTPClient.request(
                    "GET", port: suite.operatorsPort(), path: "/connections", headers: forwarded)
                #expect(operators.status == 401)
                let refused = await #expect(throws: WebSocketRefused.self) {
                    _ = try await suite.connect(0, "/", headers: forwarded)
                }
                #expect(refused?.status == 401)
                let known = try await suite.request("GET", .obsBridge, "/api/sources", token: token, headers: forwarded)
                #expect(known.status == 200)
                _ = try await suite.connect(0, "/?token=\(token)", headers: forwarded).close()
            }
            #expect(try await suite.events(.obsBridge).count == 1)
            #expect(try await api.send("GET", "/\(id)")["width"] == 800)
            // Without a proxy between.
            #expect(try await suite.request("GET", .obsBridge, "/api/sources")["total"] == 1)
            let client = try await suite.connect(0, "/")
            try await client.send(["action": "ping"])
            #expect(try await client.next()["event"] == "pong")
        }
    }

    @Test func `to the anonymous client star means Source Saver's own categories of the default tenant`() async throws {
        try await Suite.with { suite in
            let token = try await suite.token()
            let (anonymous, witness) = (try await suite.connect(0, "/"), try await suite.connect(0, "/?token=\(token)"))
            for client in [anonymous, witness] {
                try await client.send(["action": "subscribe", "events": ["*"]])
                _ = try await client.next { $0["event"] == "subscription:confirmed" }
            }
            // By their own names it gets no more.
            let curious = try await suite.connect(0, "/")
            let wanted = ["channel:activities", "stream:started", "radio:*", "camera:*", "chat:*", "sources:create"]
            try await curious.send(["action": "subscribe", "events": .array(wanted.map(JSON.string))])
            _ = try await curious.next { $0["event"] == "subscription:confirmed" }

            try await Self.act(suite, token)
            try await Self.revokeKey(suite, token)
            var missing: Set = ["channel:activities", "stream:started", "radio:now_playing", "camera:face_detected"]
            while !missing.isEmpty {
                if let event = try await witness.next()["event"]?.string { missing.remove(event) }
            }
            // Whatever was to come before this, comes before this.
            let last = try await SourcesClient(suite).create("last")
            for client in [anonymous, curious] {
                var events: [String] = []
                _ = try await client.next { message in
                    events.append(message["event"]?.string ?? "\(message)")
                    return message["event"] == "sources:create" && message["data"]?["source"]?["id"]?.string == last
                }
                let foreign = events.filter { !Self.categories.contains(String($0.prefix { $0 != ":" })) }
                #expect(foreign == [])
            }
        }
    }

    /// An event of every foreign kind in the default tenant.
    private static func act(_ suite: Suite, _ token: String) async throws {
        func id(_ service: ServiceName, _ path: String, _ body: JSON) async throws -> String {
            try #require(try await suite.request("POST", service, path, body, token: token)["id"]?.string)
        }
        let stream = try await id(.streamMetrics, "/v1/streams", ["title": "Show", "protocol": "rtmp"])
        let station = try await id(.radioPlayout, "/api/v1/stations", ["name": "One"])
        let camera = try await id(.cameraEvents, "/v1/cameras", ["name": "Door", "source_url": "rtsp://192.0.2.1/s"])
        for (service, path, body) in [
            (
                ServiceName.streamMetrics, "/kappa/v2/activities/default",
                ["type": "follow", "provider": "twitch", "data": ["username": "bob"]] as JSON
            ),
            (.streamMetrics, "/v1/streams/\(stream)/start", [:]),
            (.radioPlayout, "/api/v1/webhooks/track-start", ["station_id": .string(station), "title": "Song"]),
            (
                .cameraEvents, "/v1/cameras/\(camera)/detections",
                ["confidence": 0.9, "bounding_box": ["x": 1, "y": 2, "width": 3, "height": 4]]
            ),
        ] {
            let answer = try await suite.request("POST", service, path, body, token: token)
            #expect((200..<300).contains(answer.status), "\(path): \(answer.status) \(answer.body)")
        }
    }

    /// Returns when the gateway has heard of it.
    private static func revokeKey(_ suite: Suite, _ token: String) async throws {
        let key = try await suite.request(
            "POST", .auth, "/v1/auth/keys", ["name": "short", "scopes": ["streams:read"]], token: try suite.ownerKey)
        let (id, text) = (try #require(key["id"]?.string), try #require(key["key"]?.string))
        let client = try await suite.connect(0, "/?token=\(text)")
        try await client.send(["action": "subscribe", "events": ["stream:*"]])
        _ = try await client.next { $0["event"] == "subscription:confirmed" }
        let revoked = try await suite.request("DELETE", .auth, "/v1/auth/keys/\(id)", token: try suite.ownerKey)
        #expect(revoked.status == 204)
        #expect(try await client.closeCode() == 1008)
        let log = try await suite.events(.auth, "type=auth.revoked", token: try suite.ownerKey)
        #expect(log.count == 1)
        // `*` does not open it.
        #expect(try await suite.events(.auth, "type=auth.revoked", token: token) == [])
    }

    @Test func `the anonymous principal is nobody to the other services`() async throws {
        try await Suite.with(gateways: 0) { suite in
            for (service, path) in [
                (ServiceName.auth, "/v1/auth/keys"), (.auth, "/v1/events"), (.streamMetrics, "/v1/streams"),
                (.streamMetrics, "/api/v1/streams"), (.streamMetrics, "/kappa/v2/channels/me"),
                (.streamMetrics, "/kappa/v2/activities/default"), (.streamMetrics, "/v1/events"),
                (.radioPlayout, "/api/v1/stations"), (.radioPlayout, "/v1/events"), (.cameraEvents, "/v1/cameras"),
                (.cameraEvents, "/v1/events"),
            ] {
                let answer = try await suite.request("GET", service, path)
                #expect(answer.status == 401, "\(service) \(path)")
            }
        }
    }
}
