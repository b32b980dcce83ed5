import Events
import Glibc
import TestSupport
import Testing

/// OBS and the bridge meet again after one of them was away: what is stored and what OBS has become the same, once.
@Suite("OBS reconciled", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason), .serialized)
struct OBSReconcileTests {
    private static let scenes = ["Main", "Intro"]

    /// A studio with Donations and Chat in Main, Donations and Banner in Intro.
    private static func with(
        wins: String, _ body: (OBSStudio, _ ids: [String: String]) async throws -> Void
    ) async throws {
        try await OBSStudio.with(settings: ["wins": .string(wins)], scenes: Self.scenes, shown: "Main") { studio in
            var ids: [String: String] = [:]
            for name in ["Donations", "Chat", "Banner"] { ids[name] = try await studio.sources.create(name) }
            for (name, scene, config) in [
                ("Donations", "Main", ["x": 10, "y": 20, "scaleX": 0.5, "rotation": 30]),
                ("Chat", "Main", ["width": 300, "visible": false]), ("Donations", "Intro", ["x": -5.5]),
                ("Banner", "Intro", ["height": 90, "scaleY": 2]),
            ] as [(String, String, JSON)] {
                try await studio.api.place(try #require(ids[name]), in: scene, config)
            }
            #expect(await studio.disagreements(in: Self.scenes) == [])
            try await body(studio, ids)
        }
    }

    /// All that is stored of the placements.
    private static func stored(_ studio: OBSStudio) async throws -> [String: [JSON]] {
        var stored: [String: [JSON]] = [:]
        for scene in Self.scenes { stored[scene] = try await studio.api.placements(in: scene) }
        return stored
    }

    private static func expectRestored(_ studio: OBSStudio, _ stored: [String: [JSON]], _ told: [JSON]) async throws {
        let hand = try await studio.obs.hand()
        try await studio.waitUntilAgreed(in: Self.scenes, hand)
        #expect(try await Self.stored(studio) == stored)
        #expect(try await hand.inputs() == ["Banner", "Chat", "Donations"])
        #expect(try await hand.managedInputs() == ["Banner", "Chat", "Donations"])
        #expect(try await studio.api.changes() == told)
        await hand.close()
    }

    @Test func `an OBS that was killed has everything again, and once`() async throws {
        try await Self.with(wins: "crosspoint") { studio, ids in
            // OBS has not saved these.
            let donations = try #require(ids["Donations"])
            try await studio.api.change(donations, in: "Main", ["x": 11, "width": 640, "visible": false])
            let (stored, told) = (try await Self.stored(studio), try await studio.api.changes())
            for _ in 0..<2 {
                try await studio.obs.kill()
                try await studio.api.waitUntilConnected(false, within: .seconds(5))
                try await studio.obs.start()
                try await studio.api.waitUntilConnected()
                try await Self.expectRestored(studio, stored, told)
            }
        }
    }

    @Test(arguments: ["crosspoint", "obs"])
    func `an OBS that is closed takes no placement away`(_ wins: String) async throws {
        try await Self.with(wins: wins) { studio, _ in
            let (stored, told) = (try await Self.stored(studio), try await studio.api.changes())
            // It says that every scene and input is removed, and only then that it ends.
            try await studio.obs.quit()
            try await studio.api.waitUntilConnected(false, within: .seconds(5))
            try await studio.obs.start()
            try await studio.api.waitUntilConnected()
            try await Self.expectRestored(studio, stored, told)
        }
    }

    @Test func `what is gone or changed while nobody looks is put right, where Crosspoint wins`() async throws {
        try await Self.with(wins: "crosspoint") { studio, _ in
            let (stored, told) = (try await Self.stored(studio), try await studio.api.changes())
            let hand = studio.hand
            try await studio.withoutBridge {
                try await hand.move("Donations", in: "Main", ["positionX": 400, "rotation": 0])
                try await hand.show("Chat", in: "Main", true)
                try await hand.removeScene("Intro")
                try await hand.rename("Donations", to: "Tips")
            }
            try await Self.expectRestored(studio, stored, told)
            #expect(try await hand.sceneIndexes().count == 3)
            try await studio.withoutBridge {
                try await hand.removeItem("Donations", in: "Main")
                try await hand.removeItem("Chat", in: "Main")
                try await hand.move("Banner", in: "Intro", ["boundsType": "OBS_BOUNDS_NONE", "scaleX": 3])
            }
            try await Self.expectRestored(studio, stored, told)
        }
    }

    @Test func `an OBS that knows nothing gets everything`() async throws {
        try await Self.with(wins: "crosspoint") { studio, _ in
            let (stored, told) = (try await Self.stored(studio), try await studio.api.changes())
            try await studio.obs.kill()
            try await OBSFixture.with { fresh in
                let answer = try await studio.api.connect(fresh)
                #expect(answer["connectionDetails"]?["port"] == JSON(fresh.port))
                let hand = try await fresh.hand()
                try await studio.waitUntilAgreed(in: Self.scenes, hand)
                #expect(try await Self.stored(studio) == stored)
                #expect(try await hand.inputs() == ["Banner", "Chat", "Donations"])
                #expect(try await studio.api.changes() == told)
            }
        }
    }

    @Test func `what was changed by hand meanwhile is taken over, where OBS wins`() async throws {
        try await Self.with(wins: "obs") { studio, ids in
            let before = try await studio.api.changes().count
            let hand = studio.hand
            try await studio.withoutBridge {
                try await hand.move("Donations", in: "Main", ["positionX": 400, "rotation": 0])
                try await hand.show("Chat", in: "Main", true)
                try await hand.removeItem("Donations", in: "Intro")
                try await hand.addItem("Banner", to: "Main")
                try await hand.rename("Chat", to: "Talk")
            }
            try await studio.waitUntilAgreed(in: Self.scenes)
            let told = try await studio.api.changes().dropFirst(before)
            func events(_ type: String) -> Set<JSON> {
                Set(told.filter { $0["type"]?.string == type }.compactMap { $0["data"] })
            }
            func place(_ name: String, _ scene: String, _ more: JSON) -> JSON {
                let id = ids[name == "Talk" ? "Chat" : name] ?? ""
                let place: JSON = [
                    "sceneName": .string(scene), "sourceId": .string(id), "sourceName": .string(name),
                ]
                return place.merging(more)
            }
            let moved = place(
                "Donations", "Main", ["config": ["x": 400, "rotation": 0], "changes": ["x", "rotation"]])
            // The name may have been taken over before it or after it.
            let shown: JSON = ["config": ["visible": true], "changes": ["visible"]]
            let updated = events("scenes.sourceConfigUpdated")
            #expect(
                [[moved, place("Chat", "Main", shown)], [moved, place("Talk", "Main", shown)]].contains(updated),
                "\(updated)")
            #expect(events("scenes.sourceRemoved") == [place("Donations", "Intro", [:])])
            let added = try #require(events("scenes.sourceAdded").first)
            #expect(added == place("Banner", "Main", ["config": added["config"] ?? .null]))
            let renamed = try #require(events("sources.update").first)
            #expect(renamed["changes"] == ["name"] && renamed["source"]?["name"] == "Talk")
            #expect(told.count == 5)
            #expect(try await studio.sources.send("GET", "/\(ids["Chat"] ?? "")")["name"] == "Talk")
            #expect(try await hand.inputs() == ["Banner", "Donations", "Talk"])
        }
    }

    @Test func `a scene that is gone is gone, where OBS wins`() async throws {
        try await Self.with(wins: "obs") { studio, ids in
            let before = try await studio.api.changes().count
            try await studio.withoutBridge { try await studio.hand.removeScene("Intro") }
            try await Suite.eventually("it is told") { try await studio.api.changes().count == before + 2 }
            let told = try await studio.api.changes().dropFirst(before)
            #expect(told.allSatisfy { $0["type"] == "scenes.sourceRemoved" && $0["data"]?["sceneName"] == "Intro" })
            #expect(Set(told.map { $0["data"]?["sourceId"]?.string }) == [ids["Donations"], ids["Banner"]])
            #expect(try await studio.api.send("GET", scene: "Intro").status == 404)
            #expect(try await studio.sources.send("GET", "")["total"] == 3)
            #expect(await studio.disagreements(in: ["Main"]) == [])
        }
    }

    @Test func `what was changed and deleted here while OBS was away reaches it`() async throws {
        try await Self.with(wins: "crosspoint") { studio, ids in
            try await studio.obs.quit()
            try await studio.api.waitUntilConnected(false, within: .seconds(5))
            let before = try await studio.api.changes().count
            let donations = try #require(ids["Donations"])
            #expect(try await studio.sources.send("DELETE", "/\(donations)").status == 200)
            let chat = try #require(ids["Chat"])
            #expect(try await studio.sources.send("PUT", "/\(chat)", ["name": "Talk"]).status == 200)
            let told = try await studio.api.changes().dropFirst(before)
            #expect(
                told.map { $0["type"]?.string } == [
                    "scenes.sourceRemoved", "scenes.sourceRemoved", "sources.delete", "sources.update",
                ])
            try await studio.obs.start()
            try await studio.api.waitUntilConnected()
            let hand = try await studio.obs.hand()
            try await studio.waitUntilAgreed(in: Self.scenes, hand)
            #expect(try await hand.inputs() == ["Banner", "Talk"])
            #expect(try await studio.api.changes().count == before + 4)
        }
    }

    @Test(arguments: ["crosspoint", "obs"])
    func `a bridge that is killed in the midst of placing leaves nothing half done`(_ wins: String) async throws {
        try await OBSStudio.with(settings: ["wins": .string(wins)], scenes: ["Main"], shown: "Main") { studio in
            let api = studio.api
            var ids: [String] = []
            for number in 1...12 { ids.append(try await studio.sources.create("\(number)")) }
            let acknowledged = try await withThrowingTaskGroup(of: String?.self) { group in
                for id in ids {
                    group.addTask {
                        // `try?`: no answer, no promise.
                        (try? await api.send("POST", scene: "Main", "/\(id)"))?.status == 200 ? id : nil
                    }
                }
                var placed: [String] = []
                if case .some(.some(let id)) = try await group.next() { placed.append(id) }
                try await studio.suite.kill9(.obsBridge)
                for try await case let id? in group { placed.append(id) }
                return placed
            }
            try studio.suite.start(.obsBridge)
            try await studio.suite.waitUntilReady(.obsBridge)
            try await api.waitUntilConnected()
            try await studio.waitUntilAgreed(in: ["Main"])
            let placed = try await api.placements(in: "Main").compactMap { $0["id"]?.string }
            #expect(!acknowledged.isEmpty && Set(acknowledged).isSubset(of: placed))
            var told: [String] = []
            for event in try await api.log("scenes.sourceAdded", "scenes.sourceRemoved") {
                let id = try #require(event["data"]?["sourceId"]?.string)
                if event["type"] == "scenes.sourceAdded" { told.append(id) } else { told.removeAll { $0 == id } }
            }
            #expect(told.sorted() == placed.sorted())
            for id in ids where !placed.contains(id) { try await api.place(id, in: "Main") }
            #expect(await studio.disagreements(in: ["Main"]) == [])
            #expect(try await studio.hand.managedInputs().count == 12)
        }
    }
}
