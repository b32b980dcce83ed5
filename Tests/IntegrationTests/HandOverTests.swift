import Events
import TestSupport
import Testing

/// From one gateway to the next while a service is down, with real processes.
@Suite("Hand-over", .enabled(if: Suite.isEnabled, Suite.reason))
struct HandOverTests {
    private static func activity(_ name: String, _ suite: Suite, _ token: String) async throws {
        let answer = try await suite.request(
            "POST", .streamMetrics, "/kappa/v2/activities/default",
            ["type": "follow", "provider": "twitch", "data": ["username": .string(name)]], token: token)
        #expect(answer.status == 201)
    }

    private static func nextName(_ client: WebSocketClient, within time: Duration) async throws -> String? {
        try await client.next(within: time) { $0["type"] == "message" }["data"]?["data"]?["username"]?.string
    }

    /// What a draining gateway sends a client to go on with.
    private static func reconnectToken(_ client: WebSocketClient) async throws -> String {
        while true {
            let message = JSON(parsing: Array(try await client.nextText().utf8))
            if let token = message?["data"]?["reconnect_token"]?.string { return token }
        }
    }

    @Test func `what one service has said comes at once, though another one is down`() async throws {
        try await Suite.with([.auth, .obsBridge, .streamMetrics]) { suite in
            let token = try await suite.token()
            let old = try await suite.connect(1, "/")
            for topic in ["channel.activities", "sources.create"] {
                try await old.send([
                    "type": "subscribe",
                    "data": ["topic": .string(topic), "token": .string(token), "token_type": "jwt"],
                ])
                #expect(try await old.next { $0["type"] == "response" }["error"] == nil)
            }
            try await Self.activity("before", suite, token)
            #expect(try await Self.nextName(old, within: .seconds(10)) == "before")
            // The next gateway never hears obs-bridge, of which the token will have a position.
            try await suite.end("obs-bridge", 15)
            try suite.startGateway(1)
            try await suite.waitUntilGatewayHears([.auth, .streamMetrics], 1)
            try suite.signal("gateway-0", 15)
            let reconnect = try await Self.reconnectToken(old)
            try await old.close()
            try await Self.activity("missed", suite, token)
            let came = ContinuousClock.now
            let new = try await suite.connect(1, "/?reconnect_token=\(reconnect)", gateway: 1)
            try await Self.activity("after", suite, token)
            for name in ["missed", "after"] { #expect(try await Self.nextName(new, within: .seconds(10)) == name) }
            // obs-bridge is waited for for ten seconds.
            #expect(ContinuousClock.now - came < .seconds(5))
            // Then it is not passed over in silence.
            #expect(try await new.closing(within: .seconds(30)) == (1011, "missed events unavailable"))
        }
    }
}
