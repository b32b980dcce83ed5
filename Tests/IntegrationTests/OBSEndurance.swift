import Events
import Foundation
import TestSupport
import Testing

/// Many ends and hangs of a real OBS in a row, and many placements: minutes, so only when asked for.
@Suite(
    "OBS endurance", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason),
    .enabled(if: ProcessInfo.processInfo.environment["CROSSPOINT_OBS_ENDURANCE"] == "1", "CROSSPOINT_OBS_ENDURANCE=1"),
    .serialized)
struct OBSEndurance {
    @Test func `twenty kills and ten hangs leave everything as it was`() async throws {
        try await OBSStudio.with(scenes: ["Main", "Intro"], shown: "Main") { studio in
            let (api, obs, scenes) = (studio.api, studio.obs, ["Main", "Intro"])
            for (name, places) in [("One", scenes), ("Two", ["Main"]), ("Three", scenes)] {
                let id = try await studio.sources.create(name)
                for (number, scene) in places.enumerated() {
                    try await api.place(id, in: scene, ["x": JSON(10 * number), "scaleX": 0.5, "rotation": 30])
                }
            }
            var stored: [[JSON]] = []
            for scene in scenes { stored.append(try await api.placements(in: scene)) }
            let told = try await api.changes()

            for round in 1...30 {
                let start = ContinuousClock.now
                if round % 3 == 0 { try obs.freeze() } else { try await obs.kill() }
                try await api.waitUntilConnected(false, within: .seconds(30) - (ContinuousClock.now - start))
                let missed = ContinuousClock.now - start
                if round % 3 == 0 { try obs.thaw() } else { try await obs.start() }
                try await api.waitUntilConnected()
                print("round \(round): missed after \(missed), back after \(ContinuousClock.now - start - missed)")
            }

            let hand = try await obs.hand()
            try await studio.waitUntilAgreed(in: scenes, hand)
            #expect(try await hand.inputs() == ["One", "Three", "Two"])
            for (scene, before) in zip(scenes, stored) { #expect(try await api.placements(in: scene) == before) }
            #expect(try await api.changes() == told)
            let links = try await api.log("obs.connectionChanged").map { $0["data"]?["connected"] }
            #expect(links.count == 61 && links.enumerated().allSatisfy { $0.element == .bool($0.offset % 2 == 0) })
        }
    }

    @Test func `two hundred placements are put into an OBS that knows nothing`() async throws {
        let scenes = (0..<10).map { "Scene \($0)" }
        try await OBSStudio.with(scenes: scenes) { studio in
            let api = studio.api
            for scene in scenes {
                var entries: [JSON] = []
                for number in 0..<20 {
                    let id = try await studio.sources.create("\(scene), source \(number)")
                    entries.append([
                        "sourceId": .string(id), "config": ["x": JSON(number), "width": 100, "rotation": JSON(number)],
                    ])
                }
                let answer = try await api.send("POST", scene: scene, "/bulk", ["sources": .array(entries)])
                #expect(answer["addedCount"] == 20, "\(answer)")
            }
            try await studio.obs.kill()
            try await OBSFixture.with { fresh in
                try await fresh.kill()
                try await api.succeed("PUT", "/connections/default", .object(fresh.address))
                let requests = try await api.metric("obs_bridge_requests_total")
                let start = ContinuousClock.now
                try await fresh.start()
                let listening = ContinuousClock.now - start
                var syncing: Duration?
                try await Suite.eventually("OBS is connected", within: .seconds(120)) {
                    let resource = try await api.resource
                    if resource["state"] == "syncing", syncing == nil { syncing = ContinuousClock.now - start }
                    return resource["connected"] == true
                }
                let connected = ContinuousClock.now - start
                let sent = try await api.metric("obs_bridge_requests_total") - requests
                print(
                    "200 placements: OBS listens after \(listening), syncing after \(syncing.map { "\($0)" } ?? "?"),",
                    "connected after \(connected), \(Int(sent)) requests")
                let hand = try await fresh.hand()
                #expect(try await hand.managedInputs().count == 200)
                #expect(await studio.disagreements(in: scenes, hand) == [])
                await hand.close()
            }
        }
    }
}
