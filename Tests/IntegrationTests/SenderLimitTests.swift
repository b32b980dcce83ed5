import Events
import TestSupport
import Testing

/// What a user may write, over all of their connections (contract wave §7).
@Suite("Sender limit", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct SenderLimitTests {
    @Test func `a user's lines and reactions are counted over all connections, another's are not`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let streams = try await StreamsClient(suite)
            let stream = try await streams.create()
            try await streams.succeed("POST", "/\(stream)/start")
            func key() async throws -> String {
                let made = try await suite.request(
                    "POST", .auth, "/v1/auth/keys",
                    [
                        "name": "chatter", "scopes": ["streams:read", "chat:write"], "tier": "free",
                        "tenant": .string(streams.tenant),
                    ], token: try suite.ownerKey)
                return try #require(made["key"]?.string)
            }
            let (mine, others) = (try await key(), try await key())
            let first = try await suite.connect(2, "/v1/streams?api_key=\(mine)")
            let second = try await suite.connect(2, "/v1/streams?api_key=\(mine)")
            let other = try await suite.connect(2, "/v1/streams?api_key=\(others)")
            func line(_ text: String) -> JSON {
                ["type": "chat.message", "stream_id": .string(stream), "message": .string(text)]
            }
            let listener = try await suite.connect(2, "/v1/streams?api_key=\(streams.token)")
            try await listener.send(["type": "subscribe", "stream_id": .string(stream), "events": ["chat.message"]])
            #expect(try await listener.next()["type"] == "subscribed")

            // Twice as many at once as in a minute: 120 of tier free, here over two connections.
            for number in 0..<70 {
                try await first.send(line("first \(number)"))
                try await second.send(line("second \(number)"))
            }
            for _ in 0..<120 {
                let line = try await listener.next()
                #expect(line["type"] == "chat.message", "\(line)")
            }
            let refused = try await withThrowingTaskGroup(of: JSON.self) { group in
                defer { group.cancelAll() }
                for socket in [first, second] {
                    group.addTask { try await socket.next(within: .seconds(30)) { $0["type"] == "error" } }
                }
                return try #require(try await group.next())
            }
            #expect(refused["payload"]?["code"] == "RATE_LIMITED", "\(refused)")
            #expect((1...60).contains(refused["payload"]?["details"]?["retry_after"]?.double ?? 0), "\(refused)")
            try await other.send(line("another's"))
            var more = 0
            while try await listener.next()["payload"]?["message"] != "another's" { more += 1 }
            // While they were sent, a few more have become allowed.
            #expect(more < 10)
        }
    }
}
