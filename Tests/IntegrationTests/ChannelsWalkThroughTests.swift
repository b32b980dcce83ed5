import Events
import TestSupport
import Testing

/// The walk through docs/channels.md as it is printed there. Only ports are others.
@Suite("Channels walk-through", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct ChannelsWalkThroughTests {
    @Test func `a tip is counted once, and overlays hear of it`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let document = try Document("docs/channels.md")
            let steps = document.code("bash", in: "A walk through it")
            let shell = DocumentShell(suite)
            let token = try await suite.token()
            let script = try #require(document.code("js", in: "A walk through it").first)
            let client = try NodeClient(
                "globalThis.WebSocket ??= require('ws');\n"
                    + suite.address(script, replacing: ["YOUR_JWT_TOKEN": token]))
            try await client.prints("subscribed channel.overlay.broadcast")

            let tip = try await shell.run(steps[0], replacing: ["$(./crosspoint token)": token])
            #expect(tip.contains(#""approved":"allowed""#), "\(tip)")
            try await client.prints(#"channel.session.update tip-goal {"amount":500}"#)
            try await client.prints("channel.tips  {")
            try await client.prints("channel.activities  {")
            try await client.prints("channel.session.update tip-alltime-top-donator {")
            #expect(try await shell.run(steps[1]) == "200\n")
            let numbers = try await shell.run(steps[2])
            #expect(numbers.contains(#""tip-week":{"amount":4.2,"count":1}"#), "\(numbers)")
            #expect(numbers.contains(#""tip-goal":{"amount":500}"#), "\(numbers)")
            #expect(numbers.contains(#"[{"amount":4.2,"currency":"EUR","username":"ada"}]"#), "\(numbers)")
            try await shell.run(steps[3])
            try await client.prints(#"channel.overlay.broadcast  {"pieces":100}"#)
            try await client.prints(#"channel.session.reset {"amount":0,"count":0}"#)
            #expect(client.printed.split(separator: "channel.tips ").count == 2)
        }
    }
}
