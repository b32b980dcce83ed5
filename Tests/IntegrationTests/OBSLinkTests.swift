import Events
import Glibc
import TestSupport
import Testing

/// OBS dies, hangs, leaves and comes back, and changes its scenes: what the edge hears of the link, and when.
@Suite("OBS link", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason), .serialized)
struct OBSLinkTests {
    private static func isChange(_ message: JSON, to connected: Bool) -> Bool {
        message["event"] == "obs:connectionChanged" && message["data"]?["connected"] == .bool(connected)
    }

    @Test func `the edge hears that OBS came and went, and how it fares`() async throws {
        try await OBSStudio.apart(gateways: 1) { suite, obs in
            let api = OBSClient(suite)
            let client = try await suite.listen(["obs:*"])
            try await api.connect(obs)
            let up = try await client.next { $0["event"] == "obs:connectionChanged" }
            let status = try await api.succeed("GET", "/status")
            let id = try #require(status["connectionId"])
            let online: JSON = [
                "connected": true, "connectionId": id, "obsVersion": status["obsVersion"] ?? .null,
                "websocketVersion": status["websocketVersion"] ?? .null,
            ]
            let offline: JSON = ["connected": false, "connectionId": id, "obsVersion": nil, "websocketVersion": nil]
            #expect(up["data"] == online && online["obsVersion"]?.string != nil)

            var times: [Timestamp] = []
            for _ in 0..<3 {
                let update = try await client.next(within: .seconds(12)) { $0["event"] == "obs:statsUpdate" }
                let stats = try #require(update["data"]?["stats"])
                #expect(
                    stats.keys == [
                        "cpuUsage", "memoryUsage", "fps", "renderTime", "outputSkippedFrames", "outputTotalFrames",
                    ])
                #expect(stats.object?.values.allSatisfy { $0.double != nil } == true)
                #expect((stats["fps"]?.double ?? 0) > 0 && (stats["memoryUsage"]?.double ?? 0) > 0)
                times.append(try #require(update["timestamp"]?.string.flatMap(Timestamp.init(iso8601:))))
            }
            for (one, next) in zip(times, times.dropFirst()) {
                #expect((4000...7000).contains(next.milliseconds - one.milliseconds))
            }

            try await api.succeed("POST", "/disconnect")
            let down = try await client.next { $0["event"] == "obs:connectionChanged" }
            #expect(down["data"] == offline)
            try await api.succeed("POST", "/reconnect")
            var between: [JSON?] = []
            let again = try await client.next { message in
                between.append(message["event"])
                return message["event"] == "obs:connectionChanged"
            }
            #expect(again["data"] == online && !between.contains("obs:statsUpdate"))
            #expect(try await api.log("obs.connectionChanged").map { $0["data"] } == [online, offline, online])
            #expect(try await api.log("obs.connectionChanged").allSatisfy { $0["room"] == "default" })
            #expect(try await api.log("obs.statsUpdate") == [])
        }
    }

    @Test func `a scene change is told once, whoever made it, with the scene before`() async throws {
        try await OBSStudio.with(gateways: 1, scenes: ["Main", "Intro"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            let client = try await studio.suite.listen(["obs:sceneChanged"])
            let indexes = try await hand.sceneIndexes()
            func change(_ previous: String, _ current: String) -> JSON {
                [
                    "previousScene": .string(previous), "currentScene": .string(current),
                    "sceneIndex": indexes[current] ?? .null,
                ]
            }
            // The next that is heard each time: none comes twice.
            try await hand.switchTo("Main")
            #expect(try await client.next()["data"] == change("Scene", "Main"))
            let switched = try await api.send("POST", "/current-scene", ["sceneName": "Intro"])
            #expect(switched.outcome == ["previousScene": "Main", "currentScene": "Intro"])
            #expect(try await client.next()["data"] == change("Main", "Intro"))
            // Where it is already.
            let same = try await api.send("POST", "/current-scene", ["sceneName": "Intro"])
            #expect(same.outcome == ["previousScene": "Intro", "currentScene": "Intro"])
            try await hand.switchTo("Scene")
            #expect(try await client.next()["data"] == change("Intro", "Scene"))

            // What happened behind its back is not what it remembers.
            try await api.succeed("POST", "/disconnect")
            try await hand.switchTo("Main")
            try await api.succeed("POST", "/reconnect")
            try await hand.switchTo("Intro")
            let last = try await client.next { $0["data"]?["currentScene"] == "Intro" }
            #expect(last["data"] == change("Main", "Intro"))
            #expect(try await api.resource["currentScene"] == "Intro")
            let log = try await api.log("obs.sceneChanged").compactMap { $0["data"] }
            #expect(log.allSatisfy { $0["previousScene"] != $0["currentScene"] })

            // A scene that is renamed is the same scene.
            try await hand.request("SetSceneName", ["sceneName": "Intro", "newSceneName": "Outro"])
            try await Suite.eventually("the scene has its new name") {
                try await api.resource["currentScene"] == "Outro"
            }
            try await hand.switchTo("Scene")
            #expect(
                try await client.next { $0["data"]?["currentScene"] == "Scene" }["data"] == change("Outro", "Scene"))
        }
    }

    @Test func `an OBS that is killed is missed within five seconds, and found again`() async throws {
        try await OBSStudio.with(gateways: 1) { studio in
            let client = try await studio.suite.listen(["obs:connectionChanged"])
            let id = try await studio.api.succeed("GET", "/status")["connectionId"]
            try await studio.obs.kill()
            try await studio.api.waitUntilConnected(false, within: .seconds(5))
            let down = try await client.next(within: .seconds(5)) { Self.isChange($0, to: false) }
            #expect(down["data"]?["connectionId"] == id && down["data"]?["obsVersion"] == .null)
            #expect(try await studio.api.send("GET", "/stats").status == 503)
            try await studio.obs.start()
            try await studio.api.waitUntilConnected()
            let up = try await client.next { Self.isChange($0, to: true) }
            #expect(up["data"]?["connectionId"] == id)

            // Once each.
            try await studio.obs.quit()
            #expect(Self.isChange(try await client.next(within: .seconds(5)), to: false))
            try await studio.obs.start()
            #expect(Self.isChange(try await client.next(within: .seconds(60)), to: true))
            #expect(try await studio.api.succeed("GET", "/scenes")["currentScene"] == "Scene")
        }
    }

    @Test func `an OBS that hangs is missed within thirty seconds, and found again`() async throws {
        try await OBSStudio.with(gateways: 1) { studio in
            let client = try await studio.suite.listen(["obs:connectionChanged"])
            try studio.obs.freeze()
            let start = ContinuousClock.now
            // Whoever asks meanwhile is not left waiting.
            let asked = try await studio.api.send("GET", "/current-scene")
            #expect(ContinuousClock.now - start < .seconds(15))
            #expect([500, 503].contains(asked.status) && asked["error"]?.string?.isEmpty == false, "\(asked)")
            let down = try await client.next(within: .seconds(30) - (ContinuousClock.now - start)) { _ in true }
            #expect(Self.isChange(down, to: false))
            #expect(try await studio.api.isConnected == false)
            #expect(ContinuousClock.now - start < .seconds(31))
            try studio.obs.thaw()
            try await studio.api.waitUntilConnected()
            #expect(Self.isChange(try await client.next(), to: true))
            #expect(try await studio.api.succeed("GET", "/scenes")["currentScene"] == "Scene")
        }
    }

    @Test func `a bridge that starts again has its OBS again`() async throws {
        try await OBSStudio.with { studio in
            let id = try await studio.api.succeed("GET", "/status")["connectionId"]
            try await studio.withoutBridge {}
            try await studio.suite.kill9(.obsBridge)
            try studio.suite.start(.obsBridge)
            try await studio.suite.waitUntilReady(.obsBridge)
            try await studio.api.waitUntilConnected()
            #expect(try await studio.api.succeed("GET", "/status")["connectionId"] == id)
            let log = try await studio.api.log("obs.connectionChanged")
            #expect(log.last?["data"]?["connected"] == true)

            // One that was told to disconnect does not come back by itself.
            try await studio.api.succeed("POST", "/disconnect")
            #expect(try await studio.suite.end("obs-bridge", SIGTERM) == 0)
            try studio.suite.start(.obsBridge)
            try await studio.suite.waitUntilReady(.obsBridge)
            try await Suite.holds("it stays away", for: .seconds(3)) { try await !studio.api.isConnected }
        }
    }

    @Test func `a bridge that looks for its OBS ends when it is told`() async throws {
        try await OBSStudio.with { studio in
            try studio.obs.freeze()
            #expect(try await studio.suite.end("obs-bridge", SIGTERM) == 0)
            try studio.suite.start(.obsBridge)
            try await studio.suite.waitUntilReady(.obsBridge)
            let start = ContinuousClock.now
            #expect(try await studio.suite.end("obs-bridge", SIGTERM) == 0)
            #expect(ContinuousClock.now - start < .seconds(10))
            try studio.obs.thaw()
            try studio.suite.start(.obsBridge)
            try await studio.suite.waitUntilReady(.obsBridge)
            try await studio.api.waitUntilConnected()
        }
    }

    @Test func `another scene collection brings its own scenes, and takes no placement away`() async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            let id = try await studio.sources.create("Donations")
            let config = try await api.place(id, in: "Main", ["x": 30, "rotation": 90])
            let before = try await api.changes()
            let first = try #require(
                try await hand.request("GetSceneCollectionList")["currentSceneCollectionName"])

            // OBS says that each scene and input of the first one is removed.
            try await hand.request("CreateSceneCollection", ["sceneCollectionName": "Second"])
            try await Suite.eventually("the bridge knows the other scenes", within: .seconds(60)) {
                let known = try await api.send("GET", "/scenes")["scenes"]?.array ?? []
                let indexes = try await hand.sceneIndexes()
                return indexes["Main"] == nil && Set(known.compactMap { $0["sceneName"]?.string }) == Set(indexes.keys)
            }
            // Placements belong to a scene collection, and rest while another one is there.
            #expect(try await api.isConnected)
            #expect(try await api.send("GET", scene: "Main").status == 404)
            #expect(try await hand.managedInputs() == [])

            try await hand.request("SetCurrentSceneCollection", ["sceneCollectionName": first])
            try await studio.waitUntilAgreed(in: ["Main"])
            #expect(try await api.config(of: id, in: "Main")?.mismatches(with: config) == [])
            #expect(try await hand.managedInputs() == ["Donations"])
            #expect(try await api.changes() == before)
            try await api.change(id, in: "Main", ["x": 31])
            #expect(try await hand.item("Donations", in: "Main")["sceneItemTransform"]?["positionX"] == 31)
        }
    }
}
