import Events
import TestSupport
import Testing

/// A key that is revoked ends every connection that it opened, in the dialect's own way, and no other.
@Suite("Revocation", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct RevocationTests {
    @Test func `a revoked key closes its connections in every dialect, also those that subscribed to nothing`()
        async throws
    {
        try await Suite.with([.auth, .streamMetrics], gateways: 2) { suite in
            let owner = try await suite.token()
            func makeKey() async throws -> (id: String, key: String) {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/auth/keys", ["name": "a key", "scopes": ["*"]], token: owner)
                return (try #require(answer["id"]?.string), try #require(answer["key"]?.string))
            }
            let (revoked, kept) = (try await makeKey(), try await makeKey())

            func open(_ key: String, gateway: Int) async throws -> [WebSocketClient] {
                let saver = try await suite.connect(0, "/?token=\(key)", gateway: gateway)
                let astro = try await suite.connect(1, "/", gateway: gateway)
                try await astro.send([
                    "type": "subscribe",
                    "data": ["topic": "channel.activities", "token": .string(key), "token_type": "apikey"],
                ])
                _ = try await astro.next { $0["type"] == "response" }
                let wave = try await suite.connect(2, "/v1/streams?api_key=\(key)", gateway: gateway)
                try await wave.send(["type": "ping", "timestamp": 1])
                _ = try await wave.next { $0["type"] == "pong" }
                let grimnir = try await suite.connect(3, "/api/v1/events?token=\(key)", gateway: gateway)
                let airys = try await suite.connect(4, "/v1/stream?token=\(key)", gateway: gateway)
                _ = try await airys.next { $0["type"] == "auth_success" }
                return [saver, astro, wave, grimnir, airys]
            }
            var doomed: [[WebSocketClient]] = []
            for gateway in 0...1 { doomed.append(try await open(revoked.key, gateway: gateway)) }
            let others = try await open(kept.key, gateway: 0)

            let answer = try await suite.request("DELETE", .auth, "/v1/auth/keys/\(revoked.id)", token: owner)
            #expect(answer.status == 204)
            for clients in doomed {
                for (client, code) in zip(clients, [1008, 1008, 4401, 1008, 4401] as [UInt16]) {
                    #expect(try await client.closeCode() == code)
                }
            }
            try await others[0].send(["action": "ping"])
            #expect(try await others[0].next { $0["event"] == "pong" }["event"] == "pong")
            try await others[2].send(["type": "ping", "timestamp": 2])
            #expect(try await others[2].next { $0["type"] == "pong" }["payload"]?["timestamp"] == 2)

            let refused = await #expect(throws: WebSocketRefused.self) {
                _ = try await suite.connect(3, "/api/v1/events?token=\(revoked.key)")
            }
            #expect(refused?.status == 401)
            #expect(try await suite.request("GET", .streamMetrics, "/v1/streams", token: revoked.key).status == 401)
        }
    }
}
