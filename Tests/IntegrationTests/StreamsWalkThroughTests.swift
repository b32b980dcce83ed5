import Events
import Foundation
import TestSupport
import Testing

/// The walk through docs/streams.md as it is printed there, against a real nginx and ffmpeg. Only ports, places and the secret are others.
@Suite(
    "Streams walk-through", .enabled(if: Suite.isEnabled && NginxRTMPFixture.isAvailable, Suite.reason), .serialized)
struct StreamsWalkThroughTests {
    @Test func `a stream is published, measured, watched, talked about, and ends`() async throws {
        try await NginxRTMPFixture.with { nginx in
            try await Suite.with([.auth, .streamMetrics], environment: try nginx.environment(grace: 10)) { suite in
                try await nginx.start(hooksTo: suite)
                let document = try Document("docs/streams.md")
                let steps = document.code("bash", in: "A walk through it").map(nginx.place)
                let shell = DocumentShell(suite)
                let token = try await suite.token()
                try await shell.run(steps[0], replacing: ["$(./crosspoint token)": token])
                let stream = try #require(shell.variables["stream"])

                let script = try #require(document.code("js", in: "A walk through it").first)
                let placeholders = ["YOUR_STREAM_ID": stream, "YOUR_API_KEY": try await suite.token("apikey")]
                let client = try NodeClient(
                    "globalThis.WebSocket ??= require('ws');\n" + suite.address(script, replacing: placeholders))
                try await client.prints("subscribed {")

                try await shell.run(steps[1])
                let encoder = try #require(shell.variables["encoder"].flatMap { Int32($0) })
                defer { kill(encoder, SIGKILL) }
                try await client.prints("stream.started {")
                try await Suite.eventually("the health has a bitrate near 900", within: .seconds(60)) {
                    let bitrates = client.printed.matches(of: /stream\.health \{"bitrate":([0-9.]+),"fps":25/)
                    return bitrates.contains { (600...1300).contains(Double($0.1) ?? 0) }
                }
                try await shell.run(steps[2])
                defer { if let player = shell.variables["player"].flatMap({ Int32($0) }) { kill(player, SIGKILL) } }
                try await client.prints("viewer.joined {")
                try await client.prints(#""message":"Good morning""#)
                try await client.prints("viewer.left {")

                let numbers = try await shell.run(steps[3])
                #expect(numbers.contains(#""signal":"live""#) && numbers.contains(#""fps":25"#), "\(numbers)")
                #expect(numbers.contains(#""total_views":1"#) && numbers.contains(#""device":"desktop""#), "\(numbers)")
                #expect(numbers.contains(#""state":"known""#) && numbers.contains(#""publishers":1"#), "\(numbers)")

                try await shell.run(steps[4])
                try await client.prints("stream.ended {")
                try await Suite.eventually("the recording is named") {
                    client.printed.contains(#""recording_id":"recording_"#)
                }
            }
        }
    }
}
