import Events
import TestSupport
import Testing

/// Somebody works in OBS by hand: the placements follow, and it is told.
@Suite("OBS by hand", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason), .serialized)
struct OBSByHandTests {
    /// A studio with two sources in Main, the first in Intro too, and nothing told of that any more.
    private static func with(
        _ body: (OBSStudio, _ ids: [String], _ told: () async throws -> [JSON]) async throws -> Void
    ) async throws {
        try await OBSStudio.with(scenes: ["Main", "Intro"], shown: "Main") { studio in
            let ids = [try await studio.sources.create("Donations"), try await studio.sources.create("Chat")]
            for id in ids { try await studio.api.place(id, in: "Main", ["x": 10, "y": 20]) }
            try await studio.api.place(ids[0], in: "Intro")
            let before = try await studio.api.changes().count
            try await body(studio, ids) { Array(try await studio.api.changes().dropFirst(before)) }
        }
    }

    private static func update(_ id: String, _ config: JSON, _ changes: JSON, _ name: String = "Donations") -> JSON {
        [
            "sceneName": "Main", "sourceId": .string(id), "sourceName": .string(name), "config": config,
            "changes": changes,
        ]
    }

    @Test func `what is moved, turned, hidden and shown is stored and told, and nothing else`() async throws {
        try await Self.with { studio, ids, told in
            let (api, hand) = (studio.api, studio.hand)
            var count = 0
            func expect(_ config: JSON, _ changes: JSON) async throws {
                count += 1
                try await Suite.eventually("\(changes) is told") { try await told().count >= count }
                let last = try #require(try await told().last)
                #expect(last["type"] == "scenes.sourceConfigUpdated")
                #expect(last["data"] == Self.update(ids[0], config, changes))
                #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
            }
            try await hand.move("Donations", in: "Main", ["positionX": 123])
            try await expect(["x": 123], ["x"])
            try await hand.move("Donations", in: "Main", ["positionX": 5, "positionY": -6])
            try await expect(["x": 5, "y": -6], ["x", "y"])
            try await hand.move("Donations", in: "Main", ["rotation": 45])
            try await expect(["rotation": 45], ["rotation"])
            // OBS turns to the left too.
            try await hand.move("Donations", in: "Main", ["rotation": -90])
            try await expect(["rotation": 270], ["rotation"])
            try await hand.show("Donations", in: "Main", false)
            try await expect(["visible": false], ["visible"])
            try await hand.show("Donations", in: "Main", true)
            try await expect(["visible": true], ["visible"])
            #expect(try await api.config(of: ids[0], in: "Intro") == .defaultConfig)
            #expect(try await told().count == count)
        }
    }

    @Test func `what is done in a scene that is not shown is stored when it is`() async throws {
        try await Self.with { studio, ids, told in
            try await studio.hand.move("Donations", in: "Intro", ["positionX": 70, "rotation": 20])
            try await studio.hand.switchTo("Intro")
            try await studio.waitUntilAgreed(in: ["Main", "Intro"])
            let event = try #require(try await told().last)
            #expect(try await told().count == 1 && event["type"] == "scenes.sourceConfigUpdated")
            #expect(event["data"]?["sceneName"] == "Intro" && event["data"]?["sourceId"]?.string == ids[0])
            #expect(event["data"]?["config"] == ["x": 70, "rotation": 20])
        }
    }

    @Test func `what is drawn larger or smaller is stored so`() async throws {
        try await Self.with { studio, ids, told in
            let sizes: Set = ["width", "height", "scaleX", "scaleY"]
            let transforms: [JSON] = [
                ["boundsWidth": 1000, "boundsHeight": 300],
                // As OBS does to what has no box around it.
                ["boundsType": "OBS_BOUNDS_NONE", "scaleX": 0.5, "scaleY": 0.25],
            ]
            for transform in transforms {
                let before = try await told().count
                try await studio.hand.move("Donations", in: "Main", transform)
                try await Suite.eventually("it is told") { try await told().count > before }
                let data = try #require(try await told().last?["data"])
                let changes = Set(data["changes"]?.strings ?? ["none"])
                #expect(changes.isSubset(of: sizes) && changes == (data["config"] ?? .null).keys, "\(data)")
                try await studio.waitUntilAgreed(in: ["Main"])
            }
            #expect(try await told().allSatisfy { $0["data"]?["sourceId"]?.string == ids[0] })
        }
    }

    @Test func `after many moves in a row the last one is stored`() async throws {
        try await Self.with { studio, ids, told in
            for number in 1...50 {
                try await studio.hand.move("Donations", in: "Main", ["positionX": JSON(100 + number)])
                try await studio.hand.move("Chat", in: "Main", ["positionY": JSON(200 + number)])
            }
            try await Suite.eventually("the last moves are stored") {
                let x = try await studio.api.config(of: ids[0], in: "Main")?["x"]
                return try await studio.api.config(of: ids[1], in: "Main")?["y"] == 250 && x == 150
            }
            try await studio.waitUntilAgreed(in: ["Main", "Intro"])
            let events = try await told()
            for (id, field, last) in [(ids[0], "x", 150), (ids[1], "y", 250)] {
                let values = events.filter { $0["data"]?["sourceId"]?.string == id }
                    .compactMap { $0["data"]?["config"]?[field]?.double }
                #expect(values == values.sorted() && Set(values).count == values.count)
                #expect(values.last == Double(last))
            }
        }
    }

    @Test func `an item that is removed is no longer placed`() async throws {
        try await Self.with { studio, ids, told in
            try await studio.hand.removeItem("Donations", in: "Main")
            try await Suite.eventually("it is told") { try await told().count == 1 }
            let place: JSON = ["sceneName": "Main", "sourceId": .string(ids[0]), "sourceName": "Donations"]
            #expect(try await told().first?["type"] == "scenes.sourceRemoved")
            #expect(try await told().first?["data"] == place)
            #expect(try await studio.api.placements(in: "Main").map { $0["id"]?.string } == [ids[1]])
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
            // And may be placed again.
            try await studio.api.place(ids[0], in: "Main", ["x": 3])
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
            #expect(try await studio.hand.managedInputs() == ["Chat", "Donations"])
        }
    }

    @Test func `an input that is removed leaves every scene, and the source stays`() async throws {
        try await Self.with { studio, ids, told in
            try await studio.hand.removeInput("Donations")
            try await Suite.eventually("it is told of the one that is shown") { try await told().count == 1 }
            // In a scene that is not shown OBS keeps the item until it is.
            try await studio.hand.switchTo("Intro")
            try await Suite.eventually("it is told of both") { try await told().count == 2 }
            let events = try await told()
            #expect(events.allSatisfy { $0["type"] == "scenes.sourceRemoved" })
            #expect(Set(events.compactMap { $0["data"]?["sceneName"]?.string }) == ["Main", "Intro"])
            #expect(events.allSatisfy { $0["data"]?["sourceId"]?.string == ids[0] })
            #expect(try await studio.sources.send("GET", "/\(ids[0])").status == 200)
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
            try await studio.api.place(ids[0], in: "Intro")
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
        }
    }

    @Test func `an input's new name is the source's`() async throws {
        try await Self.with { studio, ids, told in
            try await studio.hand.rename("Donations", to: "Tips")
            try await Suite.eventually("it is told") { try await told().count == 1 }
            let event = try #require(try await told().first)
            #expect(event["type"] == "sources.update" && event["room"]?.string == ids[0])
            #expect(event["data"]?["changes"] == ["name"] && event["data"]?["source"]?["name"] == "Tips")
            #expect(try await studio.sources.send("GET", "/\(ids[0])")["name"] == "Tips")
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
            try await studio.api.change(ids[0], in: "Main", ["x": 99])
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
            #expect(try await told().last?["data"]?["sourceName"] == "Tips")
        }
    }

    @Test func `placements go with a scene that gets another name`() async throws {
        try await Self.with { studio, ids, told in
            try await studio.hand.request("SetSceneName", ["sceneName": "Main", "newSceneName": "Live"])
            try await Suite.eventually("they are there") {
                try await studio.api.send("GET", scene: "Live")["totalSources"] == 2
            }
            let absent = "Scene 'Main' not found in OBS"
            #expect(try await studio.api.send("GET", scene: "Main").isError(404, prefix: absent))
            #expect(await studio.disagreements(in: ["Live", "Intro"]) == [])
            try await studio.api.change(ids[0], in: "Live", ["x": 99])
            #expect(await studio.disagreements(in: ["Live", "Intro"]) == [])
            let events = try await told()
            #expect(events.map { $0["type"] } == ["scenes.sourceConfigUpdated"])
            #expect(events.first?["data"]?["sceneName"] == "Live")
        }
    }

    @Test func `a scene that is removed takes its placements along`() async throws {
        try await Self.with { studio, ids, told in
            try await studio.hand.removeScene("Main")
            try await Suite.eventually("it is told of both") { try await told().count == 2 }
            let events = try await told()
            #expect(events.allSatisfy { $0["type"] == "scenes.sourceRemoved" && $0["data"]?["sceneName"] == "Main" })
            #expect(Set(events.compactMap { $0["data"]?["sourceId"]?.string }) == Set(ids))
            #expect(try await studio.api.send("GET", scene: "Main").status == 404)
            #expect(await studio.disagreements(in: ["Intro"]) == [])
            // One of that name is another.
            try await studio.hand.createScene("Main")
            try await Suite.eventually("the new scene is known") {
                try await studio.api.send("GET", scene: "Main")["totalSources"] == 0
            }
        }
    }

    @Test func `an item that is added in another scene is a placement there`() async throws {
        try await Self.with { studio, ids, told in
            try await studio.hand.addItem("Chat", to: "Intro")
            try await Suite.eventually("it is told") { try await told().count == 1 }
            let event = try #require(try await told().first)
            #expect(event["type"] == "scenes.sourceAdded" && event["data"]?["sceneName"] == "Intro")
            #expect(event["data"]?["sourceId"]?.string == ids[1] && event["data"]?["sourceName"] == "Chat")
            let config = try #require(event["data"]?["config"])
            #expect(config.keys == JSON.defaultConfig.keys)
            #expect(try await studio.hand.disagreements(with: config, of: "Chat", in: "Intro") == [])
            #expect(try await studio.api.config(of: ids[1], in: "Intro") == config)
            try await studio.api.change(ids[1], in: "Intro", ["x": 5, "width": 300])
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
        }
    }

    @Test func `a second item of a source in one scene is not the suite's`() async throws {
        try await Self.with { studio, ids, told in
            let (api, hand) = (studio.api, studio.hand)
            let place: JSON = ["sceneName": "Main", "sourceName": "Donations"]
            let copy = try #require(try await hand.request("CreateSceneItem", place)["sceneItemId"])
            try await api.change(ids[0], in: "Main", ["x": 44])
            let item: JSON = ["sceneName": "Main", "sceneItemId": copy]
            try await hand.request(
                "SetSceneItemTransform", item.merging(["sceneItemTransform": ["positionX": 500]]))
            try await hand.request("RemoveSceneItem", item)
            try await hand.move("Chat", in: "Main", ["positionX": 9])
            try await Suite.eventually("the last is told") {
                try await told().last?["data"] == Self.update(ids[1], ["x": 9], ["x"], "Chat")
            }
            #expect(try await told().count == 2)
            #expect(try await api.config(of: ids[0], in: "Main")?["x"] == 44)
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
        }
    }

    @Test func `what is done to other inputs is nobody's business`() async throws {
        try await Self.with { studio, ids, told in
            let hand = studio.hand
            try await hand.createInput("Backdrop", in: "Main", ["width": 400, "height": 300])
            try await hand.move("Backdrop", in: "Main", ["positionX": 44])
            try await hand.show("Backdrop", in: "Main", false)
            try await hand.addItem("Backdrop", to: "Intro")
            try await hand.rename("Backdrop", to: "Curtain")
            try await hand.removeItem("Curtain", in: "Intro")
            try await hand.removeInput("Curtain")
            try await hand.createScene("Empty")
            try await hand.removeScene("Empty")
            try await hand.move("Chat", in: "Main", ["positionX": 9])
            try await Suite.eventually("the last is told") {
                try await told().last?["data"] == Self.update(ids[1], ["x": 9], ["x"], "Chat")
            }
            #expect(try await told().count == 1)
        }
    }
}
