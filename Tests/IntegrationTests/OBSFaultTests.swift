import Events
import TestSupport
import Testing

/// What a real OBS does not do on demand: connections that are ended or say nothing, answers late, mixed up, refused or rubbish.
@Suite("OBS faults", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct OBSFaultTests {
    /// A played OBS, and a bridge that is connected to it.
    static func with(
        password: String? = nil, kinds: [String] = FakeOBS.usualKinds, scenes: [String] = ["Scene", "Main"],
        version: String = "5.5.2", settings: [String: JSON] = [:],
        _ body: (Suite, FakeOBS, OBSClient) async throws -> Void
    ) async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            try await FakeOBS.with(password: password, kinds: kinds, scenes: scenes) { obs in
                obs.websocketVersion = version
                let api = OBSClient(suite)
                var address: [String: JSON] = ["host": "127.0.0.1", "port": JSON(obs.port)]
                address["password"] = password.map(JSON.string)
                try await api.succeed("POST", "/connect", .object(address.merging(settings) { $1 }))
                try await body(suite, obs, api)
            }
        }
    }

    // MARK: the connection

    @Test(arguments: [4009, 4010, 4011] as [UInt16])
    func `when OBS says that it is over, nothing is tried until somebody says so`(_ code: UInt16) async throws {
        try await Self.with { _, obs, api in
            let made = obs.connectionsMade
            obs.closeAll(code: code)
            try await Suite.eventually("it is stopped", within: .seconds(5)) {
                try await api.resource["state"] == "stopped"
            }
            #expect(try await api.isConnected == false)
            #expect(try await api.resource["problem"]?.string?.isEmpty == false)
            // The first attempt after a failure would come within two seconds.
            try await Suite.holds("nothing is tried", for: .seconds(6)) {
                try await api.resource["state"] == "stopped" && obs.connectionsMade == made
            }
            try await api.succeed("POST", "/reconnect")
            #expect(try await api.isConnected && obs.connectionsMade == made + 1 && obs.clients == 1)
            #expect(try await api.log("obs.connectionChanged").map { $0["data"]?["connected"] } == [true, false, true])
        }
    }

    @Test(arguments: [4009, 4010, 4011] as [UInt16])
    func `refused as it says who it is, it stops`(_ code: UInt16) async throws {
        try await Self.with { _, obs, api in
            obs.closeAtIdentify = code
            let answer = try await api.send("POST", "/reconnect")
            #expect(answer.isError(500, prefix: "Failed to connect to OBS: "), "\(answer)")
            #expect(try await api.resource["state"] == "stopped")
            let made = obs.connectionsMade
            try await Suite.holds("nothing is tried", for: .seconds(4)) { obs.connectionsMade == made }
            obs.closeAtIdentify = nil
            try await api.succeed("POST", "/connect", ["host": "127.0.0.1", "port": JSON(obs.port)])
            #expect(try await api.isConnected)
        }
    }

    @Test(arguments: [nil, 1000, 1001, 1011, 4000, 4003, 4008] as [UInt16?])
    func `ended in any other way, it comes back by itself`(_ code: UInt16?) async throws {
        try await Self.with(password: "secret") { _, obs, api in
            let made = obs.connectionsMade
            if let code { obs.closeAll(code: code) } else { obs.dropAll() }
            try await Suite.eventually("it is back") { try await api.isConnected && obs.connectionsMade > made }
            #expect(obs.clients == 1)
            #expect(try await api.log("obs.connectionChanged").map { $0["data"]?["connected"] } == [true, false, true])
        }
    }

    @Test func `attempts come less and less often`() async throws {
        try await Self.with { _, obs, api in
            let made = obs.connectionsMade
            obs.closeAtIdentify = 4000
            obs.closeAll(code: 1001)
            // After about 1, 2, 4 and 8 seconds: in 15 there are four, and with the jitter few more.
            let end = ContinuousClock.now + .seconds(15)
            try await Suite.eventually("time passes") { ContinuousClock.now > end }
            #expect((2...7).contains(obs.connectionsMade - made), "\(obs.connectionsMade - made)")
            obs.closeAtIdentify = nil
            try await api.waitUntilConnected()
        }
    }

    @Test func `silence is noticed within thirty seconds, and its end too`() async throws {
        try await Self.with { _, obs, api in
            obs.stall()
            let start = ContinuousClock.now
            async let asked = api.send("GET", "/screenshot")
            try await api.waitUntilConnected(false, within: .seconds(30))
            #expect([500, 503].contains(try await asked.status))
            #expect(ContinuousClock.now - start < .seconds(31))
            // Nor is it taken for connected again while it says nothing.
            let answer = try await api.send("POST", "/reconnect")
            #expect(answer.isError(500, prefix: "Failed to connect to OBS: "), "\(answer)")
            obs.resume()
            try await api.waitUntilConnected()
            try await Suite.eventually("only one connection is left") { obs.clients == 1 }
            #expect(try await api.log("obs.connectionChanged").map { $0["data"]?["connected"] } == [true, false, true])
        }
    }

    @Test func `an OBS that closes in order takes no placement away`() async throws {
        try await Self.with(settings: ["wins": "obs"]) { suite, obs, api in
            let id = try await SourcesClient(suite).create("Donations")
            let config = try await api.place(id, in: "Main", ["x": 5])
            obs.exit()
            try await Suite.eventually("it is back") {
                let isConnected = try await api.isConnected
                return try await api.log("obs.connectionChanged").count == 3 && isConnected
            }
            #expect(try await api.config(of: id, in: "Main") == config)
            #expect(try await api.changes().map { $0["type"] } == ["scenes.sourceAdded"])
            #expect(obs.sceneItems("Main").count == 1)
        }
    }

    // MARK: requests

    @Test func `answers that come out of order are each given to who asked`() async throws {
        try await Self.with { _, obs, api in
            obs.answersOutOfOrder = true
            for number in 0..<12 {
                try obs.byHand(
                    "CreateInput",
                    ["sceneName": "Main", "inputName": .string("Mic \(number)"), "inputKind": "ffmpeg_source"])
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        let isMuted = JSON.bool(number % 3 == 0)
                        let answer = try await api.send("POST", "/inputs/Mic%20\(number)/mute", ["muted": isMuted])
                        #expect(answer.outcome == ["inputName": .string("Mic \(number)"), "muted": isMuted])
                    }
                    group.addTask {
                        let answer = try await api.succeed("GET", "/stats")
                        #expect(answer["stats"]?["memoryUsage"] == 200.5)
                    }
                    group.addTask {
                        let answer = try await api.succeed("GET", "/current-scene")
                        #expect(answer["sceneName"] == "Scene")
                    }
                }
                try await group.waitForAll()
            }
            try await api.succeed("POST", "/reconnect")
            #expect(try await api.isConnected)
        }
    }

    @Test(arguments: [false, true])
    func `an echo is known by itself, before the answer and after it`(_ answersFirst: Bool) async throws {
        try await Self.with { suite, obs, api in
            obs.answersBeforeEvents = answersFirst
            let ids = [try await SourcesClient(suite).create("One"), try await SourcesClient(suite).create("Two")]
            for id in ids { try await api.place(id, in: "Main") }
            for x in 1...5 { try await api.change(ids[0], in: "Main", ["x": JSON(x), "visible": .bool(x % 2 == 0)]) }
            #expect(try await api.send("DELETE", scene: "Main", "/\(ids[0])").status == 200)
            let item = try #require(obs.sceneItems("Main").first?["sceneItemId"]?.double.map { Int($0) })
            try obs.moveItem(item, in: "Main", x: 7, y: 8)
            try await Suite.eventually("the hand's move is told") {
                try await api.changes().last?["data"]?["config"] == ["x": 7, "y": 8]
            }
            #expect(
                try await api.changes().map { $0["type"]?.string } == [
                    "scenes.sourceAdded", "scenes.sourceAdded", "scenes.sourceConfigUpdated",
                    "scenes.sourceConfigUpdated", "scenes.sourceConfigUpdated", "scenes.sourceConfigUpdated",
                    "scenes.sourceConfigUpdated", "scenes.sourceRemoved", "scenes.sourceConfigUpdated",
                ])
        }
    }

    @Test func `what is not ready is asked again until it is`() async throws {
        try await Self.with { suite, obs, api in
            let id = try await SourcesClient(suite).create("Donations")
            obs.refuse("CreateInput", code: 207, times: 2)
            try await api.place(id, in: "Main", ["x": 5])
            #expect(obs.requests.count { $0.type == "CreateInput" } == 3)
            #expect(obs.sceneItems("Main").count == 1)

            obs.isNotReady = true
            let asked = obs.requests.count
            async let changed = api.change(id, in: "Main", ["x": 6])
            try await Suite.eventually("it was refused") { obs.requests.count > asked }
            obs.isNotReady = false
            #expect(try await changed["x"] == 6)
            #expect(obs.sceneItems("Main").first?["sceneItemTransform"]?["positionX"] == 6)

            // It does not wait for ever.
            obs.isNotReady = true
            let answer = try await api.send("POST", "/current-scene", ["sceneName": "Main"])
            #expect(answer.isError(503, prefix: ""), "\(answer)")
            obs.isNotReady = false
            try await api.waitUntilConnected()
            try await api.succeed("POST", "/current-scene", ["sceneName": "Main"])

            // Nor is it given up as it connects.
            obs.isNotReady = true
            obs.closeAll(code: 1001)
            let before = obs.requests.count
            try await Suite.eventually("it was refused") { obs.requests.count > before }
            obs.isNotReady = false
            try await api.waitUntilConnected()
            #expect(try await api.config(of: id, in: "Main")?["x"] == 6)
        }
    }

    @Test func `no more than 64 requests wait for an answer`() async throws {
        try await Self.with { _, obs, api in
            let before = obs.messagesReceived
            obs.stall()
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<150 { group.addTask { try await api.send("GET", "/screenshot?source=Main").status } }
                try await Suite.eventually("it asks") { obs.messagesReceived - before >= 32 }
                try await Suite.holds("it does not ask more", for: .seconds(3)) { obs.messagesReceived - before <= 64 }
                obs.resume()
                let statuses = try await group.reduce(into: []) { $0.append($1) }
                #expect(statuses.count == 150 && statuses.allSatisfy { $0 == 200 })
            }
        }
    }

    @Test func `what OBS cannot make is not kept`() async throws {
        try await Self.with { suite, obs, api in
            let id = try await SourcesClient(suite).create("Donations")
            obs.refuse("CreateInput", code: 700, times: 1)
            #expect(try await api.send("POST", scene: "Main", "/\(id)").isError(500, prefix: ""))
            #expect(try await api.placements(in: "Main") == [] && obs.sceneItems("Main") == [])
            obs.refuse("SetSceneItemTransform", code: 702, times: 1)
            let half = try await api.send("POST", scene: "Main", "/\(id)", ["config": ["x": 5]])
            #expect(half.isError(500, prefix: ""), "\(half)")
            #expect(try await api.placements(in: "Main") == [] && obs.sceneItems("Main") == [])
            #expect(try await api.changes() == [])
            try await api.place(id, in: "Main", ["x": 5])
            let told = try await api.changes()
            obs.refuse("SetSceneItemTransform", code: 702, times: 1)
            #expect(try await api.send("PUT", scene: "Main", "/\(id)/config", ["x": 6]).isError(500, prefix: ""))
            #expect(try await api.config(of: id, in: "Main")?["x"] == 5)
            #expect(obs.sceneItems("Main").first?["sceneItemTransform"]?["positionX"] == 5)
            obs.refuse("RemoveSceneItem", code: 702, times: 1)
            let removed = try await api.send("DELETE", scene: "Main", "/\(id)")
            #expect(removed.isError(500, prefix: ""), "\(removed)")
            #expect(try await api.placements(in: "Main").count == 1 && obs.sceneItems("Main").count == 1)
            #expect(try await api.changes() == told)
        }
    }

    @Test(
        arguments: [
            ("GetStats", ["activeFps": "many", "cpuUsage": nil, "outputTotalFrames": -1.5]),
            ("GetSceneList", ["scenes": 5]), ("GetSceneList", ["scenes": [5, [:], ["sceneName": nil]]]),
            ("GetSceneItemList", ["sceneItems": [["sceneItemId": "x"], nil]]),
            ("GetSceneItemList", ["sceneItems": nil]),
            ("GetVersion", ["obsVersion": 5, "obsWebSocketVersion": nil]), ("GetInputList", ["inputs": ["x"]]),
            ("GetSourceScreenshot", ["imageData": 5]), ("GetStreamStatus", ["outputBytes": "x"]),
            ("GetInputKindList", ["inputKinds": "x"]),
        ] as [(String, [String: JSON])])
    func `rubbish in an answer is survived`(_ type: String, _ fields: [String: JSON]) async throws {
        try await Self.with { suite, obs, api in
            obs.answer(type, with: fields)
            let id = try await SourcesClient(suite).create("Donations")
            for (method, tail) in [
                ("POST", "/reconnect"), ("GET", "/stats"), ("GET", "/scenes"), ("GET", "/current-scene"),
                ("GET", "/screenshot"), ("GET", "/stream"), ("GET", "/status"), ("GET", "/scenes"),
            ] {
                let answer = try await api.send(method, tail)
                #expect([200, 500, 502, 503].contains(answer.status), "\(method) \(tail): \(answer)")
                if answer.status != 200 { #expect(answer["error"]?.string?.isEmpty == false) }
            }
            _ = try await api.send("POST", scene: "Main", "/\(id)")
            #expect(suite.isRunning("obs-bridge"))
            #expect(try await SourcesClient(suite).send("GET", "/\(id)").status == 200)
        }
    }

    @Test func `a picture of sixteen megabytes comes through`() async throws {
        try await Self.with { _, obs, api in
            let image = "data:image/png;base64," + String(repeating: "AAAA", count: 4_000_000)
            obs.answer("GetSourceScreenshot", with: ["imageData": .string(image)])
            let answer = try await api.succeed("GET", "/screenshot")
            #expect(answer["imageData"]?.string == image)
            #expect(try await api.isConnected)
        }
    }
}
