import Events
import Foundation
import TestSupport
import Testing

/// The walk through docs/obs.md as it is printed there, against a real OBS. Only ports and the password are others; what a reader does in
/// OBS with the mouse, a hand does.
@Suite(
    "OBS walk-through", .enabled(if: Suite.isEnabled && OBSFixture.isAvailable, Suite.reason), .serialized)
struct OBSWalkThroughTests {
    @Test func `a source is placed, dragged, lost with its OBS and back where it was`() async throws {
        try await OBSFixture.with { obs in
            try await Suite.with([.auth, .obsBridge]) { suite in
                let document = try Document("docs/obs.md")
                let steps = document.code("bash", in: "A walk through it")
                let shell = DocumentShell(suite)
                let script = try #require(document.code("js", in: "A walk through it").first)
                let client = try NodeClient(
                    "globalThis.WebSocket ??= require('ws');\n" + suite.address(script, replacing: [:]))
                try await suite.waitForClient(of: "source-saver", gateway: 0)

                let connected = try await shell.run(
                    steps[0], replacing: ["as OBS shows it": obs.password, "4455": "\(obs.port)"])
                #expect(connected.contains(#""connected":true"#), "\(connected)")
                try await client.prints(#"obs:connectionChanged {"connected":true"#)
                try await shell.run(steps[1])
                let placed = try await shell.run(steps[2])
                #expect(placed.contains("Source added to scene successfully"), "\(placed)")
                try await client.prints("sources:create {")
                try await client.prints("scenes:sourceAdded {")

                let hand = try await OBSHand.connect(port: obs.port, password: obs.password)
                let items = try await hand.request("GetSceneItemList", ["sceneName": "Scene"])["sceneItems"]?.array
                let item = try #require(items?.first?["sceneItemId"])
                try await hand.request(
                    "SetSceneItemTransform",
                    [
                        "sceneName": "Scene", "sceneItemId": item,
                        "sceneItemTransform": ["positionX": 111, "positionY": 222],
                    ])
                await hand.close()
                try await client.prints("scenes:sourceConfigUpdated {")
                let moved = try await shell.run(steps[3])
                #expect(moved.contains(#""x":111"#) && moved.contains(#""y":222"#), "\(moved)")

                try await obs.kill()
                let lost = ContinuousClock.now
                try await client.prints(#"obs:connectionChanged {"connected":false"#)
                #expect(ContinuousClock.now - lost < .seconds(5))
                let away = try await shell.run(steps[4])
                #expect(away.contains(#""connected":false"#), "\(away)")
                #expect(away.contains("OBS is not connected. Please connect to OBS first."), "\(away)")

                try await obs.start()
                try await Suite.eventually("OBS is connected again", within: .seconds(40)) {
                    client.printed.components(separatedBy: #"obs:connectionChanged {"connected":true"#).count == 3
                }
                let back = try await shell.run(steps[5])
                #expect(back.contains(#""x":111"#) && back.contains(#""y":222"#), "\(back)")
                let again = try await OBSHand.connect(port: obs.port, password: obs.password)
                let list = try await again.request("GetSceneItemList", ["sceneName": "Scene"])["sceneItems"]?.array
                await again.close()
                #expect(list?.count == 1 && list?.first?["sceneItemTransform"]?["positionX"] == 111)
            }
        }
    }
}
