import Events
import TestSupport
import Testing

/// What is told of placements that requests change, and what a change of the source itself does to them.
@Suite("OBS placement events", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason), .serialized)
struct OBSPlacementEventTests {
    private static func place(_ id: String, _ scene: String = "Main", name: String = "Donations") -> JSON {
        ["sceneName": .string(scene), "sourceId": .string(id), "sourceName": .string(name)]
    }

    @Test func `the edge hears of each change once, in order`() async throws {
        try await OBSStudio.with(gateways: 1, scenes: ["Main"]) { studio in
            let (suite, api) = (studio.suite, studio.api)
            let client = try await suite.listen(["scenes:*", "sources:*"])
            let id = try await studio.sources.create("Donations")
            _ = try await client.next { $0["event"] == "sources:create" }
            try await api.place(id, in: "Main", ["x": 5])
            try await api.change(id, in: "Main", ["x": 6, "y": 0, "width": 400, "visible": false])
            try await api.change(id, in: "Main", ["scaleX": 2, "scaleY": 2, "rotation": 90])
            _ = try await api.send("DELETE", scene: "Main", "/\(id)")
            _ = try await studio.sources.send("DELETE", "/\(id)")
            let place = Self.place(id)
            let expected: [(String, JSON)] = [
                ("scenes:sourceAdded", place.merging(["config": JSON.defaultConfig.merging(["x": 5])])),
                (
                    "scenes:sourceConfigUpdated",
                    place.merging([
                        "config": ["x": 6, "width": 400, "visible": false], "changes": ["x", "width", "visible"],
                    ])
                ),
                (
                    "scenes:sourceConfigUpdated",
                    place.merging([
                        "config": ["scaleX": 2, "scaleY": 2, "rotation": 90],
                        "changes": ["scaleX", "scaleY", "rotation"],
                    ])
                ),
                ("scenes:sourceRemoved", place),
                ("sources:delete", ["sourceId": .string(id), "sourceName": "Donations"]),
            ]
            for (event, data) in expected {
                let message = try await client.next()
                #expect(message["event"]?.string == event && message["data"] == data, "\(message)")
            }
            let log = try await api.log("scenes.sourceAdded", "scenes.sourceRemoved", "scenes.sourceConfigUpdated")
            #expect(log.map { $0["data"] } == expected.dropLast().map(\.1))
            #expect(log.allSatisfy { $0["room"] == "default" })
        }
    }

    @Test(arguments: ["Main", "Scene"])
    func `OBS's echo of a request is not told again, also not when the scene is shown later`(
        _ shown: String
    ) async throws {
        try await OBSStudio.with(scenes: ["Main"], shown: shown) { studio in
            let (api, hand) = (studio.api, studio.hand)
            let id = try await studio.sources.create("Donations")
            try await api.place(id, in: "Main")
            for x in 1...5 { try await api.change(id, in: "Main", ["x": JSON(x), "visible": .bool(x % 2 == 0)]) }
            // Nothing changes, nothing is told.
            try await api.change(id, in: "Main", ["x": 5])
            #expect(try await api.send("DELETE", scene: "Main", "/\(id)").status == 200)
            try await api.place(id, in: "Main", ["x": 50])
            // Whatever OBS has still to say of all that, it says before this.
            try await hand.switchTo("Main")
            try await hand.move("Donations", in: "Main", ["positionY": 77])
            try await Suite.eventually("the hand's move is told") {
                try await api.changes().last?["data"]?["config"] == ["y": 77]
            }
            let changes = try await api.changes()
            #expect(
                changes.map { $0["type"]?.string }
                    == ["scenes.sourceAdded"] + Array(repeating: "scenes.sourceConfigUpdated", count: 5)
                    + ["scenes.sourceRemoved", "scenes.sourceAdded", "scenes.sourceConfigUpdated"])
            let positions = changes.dropFirst().prefix(5).map { $0["data"]?["config"]?["x"] }
            #expect(positions == (1...5).map { JSON($0) })
            #expect(await studio.disagreements(in: ["Main"]) == [])
        }
    }

    @Test func `of changes at the same time the last one holds, stored and in OBS`() async throws {
        try await OBSStudio.with(scenes: ["Main"], shown: "Main") { studio in
            let api = studio.api
            let id = try await studio.sources.create("Donations")
            try await api.place(id, in: "Main")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...20 {
                    group.addTask { try await api.change(id, in: "Main", ["x": JSON(number), "y": JSON(-number)]) }
                }
                try await group.waitForAll()
            }
            let config = try #require(try await api.config(of: id, in: "Main"))
            #expect(config["x"]?.double == config["y"]?.double.map { -$0 })
            #expect(await studio.disagreements(in: ["Main"]) == [])
            try await studio.hand.move("Donations", in: "Main", ["rotation": 10])
            try await Suite.eventually("the hand's move is told") {
                try await api.changes().last?["data"]?["config"] == ["rotation": 10]
            }
            let changes = try await api.log("scenes.sourceConfigUpdated").compactMap { $0["data"]?["config"]?["x"] }
            #expect(changes.count == 20 && Set(changes).count == 20 && changes.last == config["x"])
        }
    }

    @Test func `a source that is deleted leaves every scene and OBS, and that is told in order`() async throws {
        try await OBSStudio.with(scenes: ["Main", "Intro"], shown: "Main") { studio in
            let (api, hand) = (studio.api, studio.hand)
            let id = try await studio.sources.create("Donations")
            let other = try await studio.sources.create("Other")
            for scene in ["Main", "Intro"] {
                try await api.place(id, in: scene)
                try await api.place(other, in: scene)
            }
            #expect(try await hand.managedInputs() == ["Donations", "Other"])
            #expect(try await studio.sources.send("DELETE", "/\(id)").status == 200)
            let told = try await api.changes().suffix(3)
            #expect(
                told.map { $0["type"]?.string } == ["scenes.sourceRemoved", "scenes.sourceRemoved", "sources.delete"])
            #expect(Set(told.prefix(2).map { $0["data"] }) == [Self.place(id, "Main"), Self.place(id, "Intro")])
            try await Suite.eventually("OBS has it no more", within: .seconds(5)) {
                try await hand.managedInputs() == ["Other"]
            }
            // Whatever OBS says of it comes before this.
            try await hand.move("Other", in: "Main", ["positionX": 9])
            try await Suite.eventually("the hand's move is told") {
                try await api.changes().last?["data"]?["config"] == ["x": 9]
            }
            #expect(try await api.changes().count == 8)
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
        }
    }

    @Test func `a source's new name is its input's`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            let id = try await studio.sources.create("Donations")
            try await api.place(id, in: "Main", ["x": 5])
            #expect(try await studio.sources.send("PUT", "/\(id)", ["name": "Tips"]).status == 200)
            try await Suite.eventually("the input has the name", within: .seconds(5)) {
                try await hand.managedInputs() == ["Tips"]
            }
            #expect(try await api.placements(in: "Main").map { $0["name"] } == ["Tips"])
            #expect(await studio.disagreements(in: ["Main"]) == [])
            try await api.change(id, in: "Main", ["x": 6])
            #expect(try await hand.item("Tips", in: "Main")["sceneItemTransform"]?["positionX"] == 6)
            let told = try await api.changes()
            #expect(
                told.map { $0["type"]?.string } == [
                    "scenes.sourceAdded", "sources.update", "scenes.sourceConfigUpdated",
                ])
            #expect(told[1]["data"]?["changes"] == ["name"])
            #expect(told[2]["data"]?["sourceName"] == "Tips")
        }
    }

    @Test func `a name that something else in OBS has gets a number`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            try await hand.createInput("Donations", in: "Main")
            try await hand.createScene("Tips")
            let ids = [try await studio.sources.create("Donations"), try await studio.sources.create("Tips")]
            for id in ids { try await api.place(id, in: "Main", ["x": 5]) }
            #expect(try await hand.managedInputs() == ["Donations (2)", "Tips (2)"])
            #expect(try await hand.inputs() == ["Donations", "Donations (2)", "Tips (2)"])
            #expect(try await api.placements(in: "Main").map { $0["name"] } == ["Donations", "Tips"])
            try await api.change(ids[0], in: "Main", ["x": 6])
            #expect(try await hand.item("Donations (2)", in: "Main")["sceneItemTransform"]?["positionX"] == 6)
            #expect(try await hand.item("Donations", in: "Main")["sceneItemTransform"]?["positionX"] == 0)
            // The number is no new name of the source.
            #expect(try await studio.sources.send("GET", "/\(ids[0])")["name"] == "Donations")
            #expect(try await api.log("sources.update") == [])
            #expect(try await studio.sources.send("DELETE", "/\(ids[0])").status == 200)
            try await Suite.eventually("what was made by hand stays", within: .seconds(5)) {
                try await hand.inputs() == ["Donations", "Tips (2)"]
            }
        }
    }

    @Test func `odd names of scenes and sources are names`() async throws {
        let scenes = ["A/B 100% ✨", "bulk", "..", "?x=1&y#z", "Ünï \"q\" 'x'"]
        try await OBSStudio.with(scenes: scenes) { studio in
            for (number, scene) in scenes.enumerated() {
                let name = "\(scene) \(number)/%20✨"
                let id = try await studio.sources.create(name)
                try await studio.api.place(id, in: scene, ["x": 7])
                try await studio.api.change(id, in: scene, ["x": 8])
                #expect(await studio.disagreements(in: [scene]) == [])
                #expect(try await studio.hand.managedItems(in: scene) == [name])
                let bulk: JSON = ["sourceIds": [.string(id)]]
                #expect(try await studio.api.send("DELETE", scene: scene, "/bulk", bulk)["removedCount"] == 1)
                #expect(try await studio.hand.items(in: scene) == [])
            }
            let added = try await studio.api.log("scenes.sourceAdded").map { $0["data"]?["sceneName"]?.string }
            #expect(added == scenes)
        }
    }

    @Test func `another connection has placements of its own`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            try await OBSFixture.with { obs in
                let hand = try await obs.hand()
                try await hand.createScene("Main")
                let other = try await OBSClient.create(studio.suite, "studio-a", obs)
                let id = try await studio.sources.create("Donations")
                try await studio.api.place(id, in: "Main", ["x": 1])
                try await other.place(id, in: "Main", ["x": 2])
                #expect(try await studio.api.config(of: id, in: "Main")?["x"] == 1)
                #expect(try await other.config(of: id, in: "Main")?["x"] == 2)
                #expect(await studio.disagreements(in: ["Main"]) == [])
                let config = try #require(try await other.config(of: id, in: "Main"))
                #expect(try await hand.disagreements(with: config, of: "Donations", in: "Main") == [])
                let default_ = OBSClient(studio.suite, connection: "default")
                #expect(try await default_.config(of: id, in: "Main")?["x"] == 1)
                #expect(try await studio.api.log("scenes.sourceAdded").map { $0["room"] } == ["default", "studio-a"])
                #expect(try await other.send("DELETE", scene: "Main", "/\(id)").status == 200)
                #expect(try await studio.hand.managedInputs() == ["Donations"])
                // A source that is deleted leaves both.
                try await other.place(id, in: "Main")
                #expect(try await studio.sources.send("DELETE", "/\(id)").status == 200)
                let told = try await studio.api.changes().suffix(3)
                #expect(Set(told.prefix(2).map { $0["room"] }) == ["default", "studio-a"])
                #expect(told.last?["type"] == "sources.delete")
                try await Suite.eventually("neither has it", within: .seconds(5)) {
                    let inputs = try await (studio.hand.managedInputs(), hand.managedInputs())
                    return inputs.0 == [] && inputs.1 == []
                }
            }
        }
    }
}
