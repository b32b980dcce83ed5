import Events
import TestSupport
import Testing

/// Sources in scenes of a real OBS over HTTP: bodies, what OBS then has, and what is told (contract source-saver §10 *Scenes*, §11).
@Suite("OBS placements", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason), .serialized)
struct OBSPlacementTests {
    @Test func `a source is placed, changed and taken out as the contract says`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            #expect(
                try await api.send("GET", scene: "Main").body
                    == ["sceneName": "Main", "sources": [], "totalSources": 0])
            let id = try await studio.sources.create("Donations")
            let placed = try await api.send("POST", scene: "Main", "/\(id)")
            let addedAt = try #require(placed["sceneSource"]?["addedAt"])
            #expect(addedAt.isTime)
            let place: JSON = ["sceneName": "Main", "sourceId": .string(id), "sourceName": "Donations"]
            let sceneSource = place.merging(["config": .defaultConfig, "addedAt": addedAt])
            #expect(placed.outcome == ["sceneSource": sceneSource], "\(placed)")
            let listed: JSON = [
                "id": .string(id), "name": "Donations", "url": "https://example.com/widget", "isActive": false,
                "sceneConfig": .defaultConfig, "addedAt": addedAt,
            ]
            #expect(
                try await api.send("GET", scene: "Main").body
                    == ["sceneName": "Main", "sources": [listed], "totalSources": 1])

            let settings = try await hand.settings(of: "Donations")
            #expect(settings["inputKind"] == "color_source_v3")
            #expect(settings["inputSettings"]?["crosspoint_source"]?.string == id)
            let item = try await hand.item("Donations", in: "Main")
            #expect(item["sceneItemTransform"]?["boundsType"] == "OBS_BOUNDS_STRETCH")
            #expect(item["sceneItemTransform"]?["alignment"] == 5)
            #expect(try await hand.disagreements(with: .defaultConfig, of: "Donations", in: "Main") == [])

            let changed = try await api.send("PUT", scene: "Main", "/\(id)/config", ["x": 100, "scaleY": 0.5])
            let config = JSON.defaultConfig.merging(["x": 100, "scaleY": 0.5])
            let members = try #require(changed.outcome?["sceneSource"])
            #expect(members["config"] == config && members["updatedAt"]?.isTime == true)
            #expect(["sceneName", "sourceId", "sourceName"].allSatisfy { members[$0] == place[$0] })
            #expect(try await api.config(of: id, in: "Main") == config)
            #expect(try await hand.disagreements(with: config, of: "Donations", in: "Main") == [])

            let removed = try await api.send("DELETE", scene: "Main", "/\(id)")
            let removedAt = try #require(removed["removedSource"]?["removedAt"])
            #expect(removedAt.isTime)
            #expect(removed.outcome == ["removedSource": place.merging(["removedAt": removedAt])])
            #expect(try await hand.items(in: "Main") == [])
            #expect(try await api.send("GET", scene: "Main")["totalSources"] == 0)
            #expect(try await studio.sources.send("GET", "/\(id)").status == 200)
        }
    }

    @Test func `every config is in OBS as it was given`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            let given: [JSON] = [
                [
                    "x": 100.5, "y": -20.25, "width": 640, "height": 360, "scaleX": 0.5, "scaleY": 2, "rotation": 45,
                    "visible": false,
                ],
                [
                    "x": -90000, "y": 90000, "width": 7680, "height": 4320, "scaleX": 10, "scaleY": 10,
                    "rotation": 360, "visible": true,
                ],
                [
                    "x": 90000, "y": -90000, "width": 10, "height": 10, "scaleX": 0.1, "scaleY": 0.1, "rotation": 0,
                    "visible": true,
                ],
                ["width": 1, "height": 1, "scaleX": 1, "scaleY": 1, "rotation": 359.9, "visible": false],
            ]
            let id = try await studio.sources.create("Donations")
            try await api.place(id, in: "Main", given[0])
            var config = JSON.defaultConfig
            for fields in given {
                config = config.merging(fields)
                let answered = try await api.change(id, in: "Main", fields)
                #expect(answered.mismatches(with: config) == [], "\(fields)")
                #expect(try await api.config(of: id, in: "Main")?.mismatches(with: config) == [])
                #expect(try await hand.disagreements(with: config, of: "Donations", in: "Main") == [])
            }
            // Each alone is allowed; together they are less than the pixel that OBS wants.
            let tiny = try await api.send("PUT", scene: "Main", "/\(id)/config", ["scaleX": 0.1, "scaleY": 0.1])
            #expect([200, 400].contains(tiny.status), "\(tiny)")
            if tiny.status == 400 { #expect(try await api.config(of: id, in: "Main")?.mismatches(with: config) == []) }
            #expect(try await hand.items(in: "Main").count == 1)
            // Each field also when it is placed.
            for (number, fields) in given.enumerated() {
                let id = try await studio.sources.create("\(number)")
                let answered = try await api.place(id, in: "Main", fields)
                #expect(answered.mismatches(with: JSON.defaultConfig.merging(fields)) == [])
                #expect(try await hand.disagreements(with: answered, of: "\(number)", in: "Main") == [])
            }
        }
    }

    @Test func `a config that is not valid is refused and changes nothing`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            let placed = try await studio.sources.create("Placed")
            let other = try await studio.sources.create("Other")
            try await api.place(placed, in: "Main")
            let before = try await api.send("GET", scene: "Main").body
            let item = try await hand.item("Placed", in: "Main")
            let told = try await api.changes()
            for (field, value) in Self.invalidFields {
                let put = try await api.send("PUT", scene: "Main", "/\(placed)/config", ["y": 7, field: value])
                #expect(put.isError(400, prefix: "Invalid configuration: "), "PUT \(field) \(value): \(put)")
                let posted = try await api.send("POST", scene: "Main", "/\(other)", ["config": ["y": 7, field: value]])
                #expect(posted.isError(400, prefix: ""), "POST \(field) \(value): \(posted)")
            }
            for body in [[:], [], "x", 5, ["nonsense": 1]] as [JSON] {
                let put = try await api.send("PUT", scene: "Main", "/\(placed)/config", body)
                #expect(put.isError(400, prefix: "Invalid configuration: "), "PUT \(body): \(put)")
            }
            for body in [["config": 5], ["config": []], ["config": "x"], []] as [JSON] {
                let posted = try await api.send("POST", scene: "Main", "/\(other)", body)
                #expect(posted.isError(400, prefix: ""), "POST \(body): \(posted)")
            }
            for text in ["{", "nonsense", "{\"x\": 1e999}", "\u{0}"] {
                let bytes = Array(text.utf8)
                let put = try await api.send("PUT", scene: "Main", "/\(placed)/config", bytes: bytes)
                #expect(put.isError(400, prefix: ""), "PUT \(text): \(put)")
                #expect(try await api.send("POST", scene: "Main", "/\(other)", bytes: bytes).isError(400, prefix: ""))
            }
            #expect(try await api.send("GET", scene: "Main").body == before)
            #expect(try await hand.items(in: "Main") == [item])
            #expect(try await api.changes() == told)
        }
    }

    @Test func `what is not there is not found, and what is there is not placed twice`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            let placed = try await studio.sources.create("Placed")
            let other = try await studio.sources.create("Other")
            try await api.place(placed, in: "Main", ["x": 5])
            let told = try await api.changes()
            let absent = "Scene 'No where' not found in OBS"
            for (method, tail, body) in [
                ("GET", "", nil), ("POST", "/\(other)", nil), ("DELETE", "/\(placed)", nil),
                ("PUT", "/\(placed)/config", ["x": 1]), ("POST", "/bulk", ["sources": [["sourceId": .string(other)]]]),
                ("DELETE", "/bulk", ["sourceIds": [.string(placed)]]),
            ] as [(String, String, JSON?)] {
                let answer = try await api.send(method, scene: "No where", tail, body)
                #expect(answer.isError(404, prefix: absent), "\(method) \(tail): \(answer)")
            }
            for unknown in ["source-01ARZ3NDEKTSV4RRFFQ69G5FAV", "nope", "%00", "'%20or%20true--"] {
                let answer = try await api.send("POST", scene: "Main", "/\(unknown)")
                #expect(answer.isError(404, prefix: "Source not found"), "\(unknown): \(answer)")
            }
            for id in [other, "source-01ARZ3NDEKTSV4RRFFQ69G5FAV", "nope"] {
                #expect(try await api.send("DELETE", scene: "Main", "/\(id)").isError(404, prefix: ""), "\(id)")
                #expect(try await api.send("PUT", scene: "Main", "/\(id)/config", ["x": 1]).isError(404, prefix: ""))
            }
            let again = try await api.send("POST", scene: "Main", "/\(placed)", ["config": ["x": 6]])
            #expect(again.isError(409, prefix: "Source is already present in this scene"))
            #expect(try await api.config(of: placed, in: "Main")?["x"] == 5)
            #expect(try await hand.items(in: "Main").count == 1)
            #expect(try await api.changes() == told)
        }
    }

    @Test func `several are added and removed at once, each with its own outcome`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            var ids: [String] = []
            for name in ["One", "Two", "Three"] { ids.append(try await studio.sources.create(name)) }
            try await api.place(ids[0], in: "Main")
            let unknown = "source-01ARZ3NDEKTSV4RRFFQ69G5FAV"
            let entries: [JSON] = [
                ["sourceId": .string(ids[1]), "config": ["x": 10, "visible": false]], ["sourceId": .string(unknown)],
                ["sourceId": .string(ids[0])], ["sourceId": .string(ids[2])],
            ]
            let added = try await api.send("POST", scene: "Main", "/bulk", ["sources": .array(entries)])
            #expect(added.status == 200 && added["success"]?.bool != nil, "\(added)")
            #expect(added.body.keys == ["success", "message", "results", "addedCount", "failedCount"])
            #expect(added["addedCount"] == 2 && added["failedCount"] == 2)
            Self.expect(added, [(ids[1], true), (unknown, false), (ids[0], false), (ids[2], true)])
            #expect(try await api.config(of: ids[1], in: "Main")?["x"] == 10)
            #expect(await studio.disagreements(in: ["Main"]) == [])
            #expect(try await hand.items(in: "Main").count == 3)
            let told = try await api.log("scenes.sourceAdded").compactMap { $0["data"]?["sourceId"]?.string }
            #expect(told == [ids[0], ids[1], ids[2]])

            let gone: JSON = .array([ids[2], unknown, ids[0]].map(JSON.string))
            let removed = try await api.send("DELETE", scene: "Main", "/bulk", ["sourceIds": gone])
            #expect(removed.body.keys == ["success", "message", "results", "removedCount", "failedCount"])
            #expect(removed.status == 200 && removed["removedCount"] == 2 && removed["failedCount"] == 1)
            Self.expect(removed, [(ids[2], true), (unknown, false), (ids[0], true)])
            #expect(try await api.placements(in: "Main").map { $0["id"]?.string } == [ids[1]])
            #expect(try await hand.managedItems(in: "Main") == ["Two"])
            let left = try await api.log("scenes.sourceRemoved").compactMap { $0["data"]?["sourceId"]?.string }
            #expect(left == [ids[2], ids[0]])

            for body in [[:], ["sources": 5], ["sources": [5]], ["sources": [["config": [:]]]], []] as [JSON] {
                #expect(try await api.send("POST", scene: "Main", "/bulk", body).isError(400, prefix: ""), "\(body)")
            }
            for body in [[:], ["sourceIds": 5], ["sourceIds": [5]], []] as [JSON] {
                #expect(try await api.send("DELETE", scene: "Main", "/bulk", body).isError(400, prefix: ""), "\(body)")
            }
        }
    }

    private static func expect(_ answer: Suite.Answer, _ outcomes: [(id: String, isSuccess: Bool)]) {
        let results = answer["results"]?.array ?? []
        #expect(results.map { $0["sourceId"]?.string } == outcomes.map(\.id))
        #expect(results.map { $0["success"]?.bool } == outcomes.map(\.isSuccess))
        #expect(results.allSatisfy { $0["message"]?.string?.isEmpty == false })
    }

    @Test func `a scene takes twenty sources`() async throws {
        try await OBSStudio.with(scenes: ["Main", "Intro"]) { studio in
            let api = studio.api
            var ids: [String] = []
            for number in 1...21 { ids.append(try await studio.sources.create("\(number)")) }
            let entries = ids.map { ["sourceId": .string($0)] as JSON }
            let bulk = try await api.send("POST", scene: "Main", "/bulk", ["sources": .array(entries)])
            #expect(bulk["addedCount"] == 20 && bulk["failedCount"] == 1)
            #expect(bulk["results"]?.array?.last?["success"] == false)
            #expect(try await api.send("POST", scene: "Main", "/\(ids[20])").isError(409, prefix: ""))
            #expect(try await api.placements(in: "Main").count == 20)
            #expect(try await studio.hand.items(in: "Main").count == 20)
            let errors = try await api.log("system.error").compactMap { $0["data"] }
            #expect(errors.last?["sourceId"]?.string == ids[20])
            #expect(errors.last?["error"]?.string?.isEmpty == false && errors.last?["errorCode"]?.string != nil)
            #expect(errors.last?["details"]?["retryable"]?.bool != nil)
            #expect(errors.last?["details"]?["reason"]?.string != nil)
            // Another scene has room, and so has this one when one leaves.
            try await api.place(ids[20], in: "Intro")
            #expect(try await api.send("DELETE", scene: "Main", "/\(ids[0])").status == 200)
            try await api.place(ids[20], in: "Main")
            #expect(await studio.disagreements(in: ["Main", "Intro"]) == [])
        }
    }

    @Test func `many ask at once: no more than twenty are placed, and each once`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            let api = studio.api
            var ids: [String] = []
            for number in 1...25 { ids.append(try await studio.sources.create("\(number)")) }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for id in ids + ids[..<5] {
                    group.addTask { try await api.send("POST", scene: "Main", "/\(id)").status }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 200 } == 20 && statuses.count { $0 == 409 } == 10, "\(statuses)")
            #expect(try await api.placements(in: "Main").count == 20)
            #expect(try await api.log("scenes.sourceAdded").count == 20)
            #expect(await studio.disagreements(in: ["Main"]) == [])
            #expect(try await studio.hand.managedInputs().count == 20)
        }
    }

    private static let invalidFields: [(String, JSON)] = [
        ("x", -90002), ("x", 90002), ("x", "1"), ("x", true), ("y", -90002), ("y", 90002), ("y", [1]),
        ("width", 0), ("width", 7681), ("width", -1), ("width", "800"), ("height", 0), ("height", 4321),
        ("height", true), ("scaleX", 0.09), ("scaleX", 10.1), ("scaleX", 0), ("scaleY", 0.09), ("scaleY", 10.1),
        ("scaleY", -1), ("rotation", -1), ("rotation", 361), ("rotation", "90"), ("visible", "yes"), ("visible", 1),
    ]
}
