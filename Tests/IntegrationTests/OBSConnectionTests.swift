import Events
import TestSupport
import Testing

/// The link to a real OBS over HTTP: every body and status code of contract source-saver §10 *OBS*.
@Suite("OBS connection", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason), .serialized)
struct OBSConnectionTests {
    private static let notConnected = "OBS is not connected. Please connect to OBS first."

    @Test func `connecting, asking, disconnecting and reconnecting answer as the contract says`() async throws {
        try await OBSStudio.apart { suite, obs in
            let api = OBSClient(suite)
            let before = try await api.send("GET", "/status")
            #expect(before.status == 200)
            let keys: Set = ["connected", "connectionId", "obsVersion", "websocketVersion", "lastConnected"]
            #expect(before.body.keys == keys)
            #expect(before["connected"] == false && before["lastConnected"] == .null)
            #expect(before["obsVersion"] == .null && before["websocketVersion"] == .null)

            let details: JSON = [
                "connectionDetails": ["host": "127.0.0.1", "port": JSON(obs.port), "connected": true]
            ]
            #expect(try await api.connect(obs).outcome == details)
            let version = try await obs.hand().request("GetVersion")
            let status = try await api.send("GET", "/status")
            #expect(status.body.keys == keys && status["connected"] == true)
            #expect(status["obsVersion"] == version["obsVersion"])
            #expect(status["websocketVersion"] == version["obsWebSocketVersion"])
            #expect(status["lastConnected"]?.isTime == true)
            let id = try #require(status["connectionId"]?.string)
            #expect(id.hasPrefix("obs-") && ULID(text: id.dropFirst(4)) != nil)
            #expect(try await api.resource["id"]?.string == id)

            #expect(try await api.send("POST", "/reconnect").outcome == details)
            #expect(try await api.send("GET", "/status")["connectionId"]?.string == id)

            #expect(try await api.send("POST", "/disconnect").outcome == [:])
            let after = try await api.send("GET", "/status")
            #expect(after.body.keys == keys && after["connected"] == false)
            #expect(after["lastConnected"]?.isTime == true)
            #expect(try await api.resource["state"] == "off")
            #expect(try await api.send("GET", "/scenes").isError(503, prefix: Self.notConnected))
            try await Suite.holds("it stays off", for: .seconds(4)) { try await api.resource["state"] == "off" }

            #expect(try await api.send("POST", "/reconnect").outcome == details)
            #expect(try await api.isConnected)
            // Again, to where it is connected already.
            #expect(try await api.connect(obs).outcome == details)
            #expect(try await api.send("GET", "/status")["connectionId"]?.string == id)
            #expect(try await api.send("GET", "/connections")["total"] == 1)
        }
    }

    @Test func `without a connection there is nothing to reconnect`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = OBSClient(suite)
            let answer = try await api.send("POST", "/reconnect")
            #expect(answer.isError(500, prefix: "Failed to connect to OBS: "), "\(answer)")
            #expect(try await api.send("GET", "/connections").body == ["connections": [], "total": 0])
        }
    }

    @Test func `an address that is not valid is refused and not kept`() async throws {
        try await Suite.with([.auth, .obsBridge], gateways: 0) { suite in
            let api = OBSClient(suite)
            let right: JSON = ["host": "127.0.0.1", "port": 4455]
            for (field, value) in [
                ("host", ""), ("host", 5), ("host", nil), ("host", "a\u{0}b"), ("port", 0), ("port", 65536),
                ("port", -1), ("port", "4455"), ("port", 1.5), ("port", nil), ("password", 5), ("path", 5),
                ("tls", "yes"), ("wins", "nobody"), ("wins", 1), ("fallbackKind", 5),
            ] as [(String, JSON)] {
                let answer = try await api.send("POST", "/connect", right.merging([field: value]))
                #expect(answer.isError(400, prefix: ""), "\(field) \(value): \(answer.status) \(answer.body)")
            }
            for body in [[:], ["host": "127.0.0.1"], ["port": 4455], [], "x", nil] as [JSON] {
                let answer = try await api.send("POST", "/connect", body)
                #expect(answer.isError(400, prefix: ""), "\(body): \(answer.status) \(answer.body)")
            }
            #expect(try await api.send("GET", "/connections")["total"] == 0)
        }
    }

    @Test func `a wrong password is not tried again until somebody says so`() async throws {
        try await OBSStudio.apart { suite, obs in
            let api = OBSClient(suite)
            func isRefused(_ answer: Suite.Answer) async throws -> Bool {
                guard answer.isError(500, prefix: "Failed to connect to OBS: ") else { return false }
                let resource = try await api.resource
                return resource["state"] == "stopped" && resource["connected"] == false
                    && resource["problem"]?.string?.isEmpty == false
            }
            var address = obs.address
            address["password"] = "wrong"
            #expect(try await isRefused(api.send("POST", "/connect", .object(address))))
            #expect(try await api.send("GET", "/scenes").isError(503, prefix: Self.notConnected))
            // The first attempt after a failure would come within two seconds.
            try await Suite.holds("it is stopped", for: .seconds(6)) { try await api.resource["state"] == "stopped" }
            #expect(try await isRefused(api.send("POST", "/reconnect")))
            #expect(try await isRefused(api.send("POST", "/connections/default/connect", [:])))

            let right: JSON = ["password": .string(obs.password)]
            try await api.succeed("PUT", "/connections/default", right)
            try await api.waitUntilConnected()
            let resource = try await api.resource
            #expect(resource["state"] == "connected" && resource["problem"] == .null)

            #expect(try await isRefused(api.send("POST", "/connect", .object(address))))
            #expect(try await api.send("POST", "/connections/default/connect", right).status == 200)
            #expect(try await api.isConnected)
        }
    }

    @Test func `without a password where one is asked for, it stops`() async throws {
        try await OBSStudio.apart { suite, obs in
            let api = OBSClient(suite)
            let answer = try await api.send("POST", "/connect", ["host": "127.0.0.1", "port": JSON(obs.port)])
            #expect(answer.isError(500, prefix: "Failed to connect to OBS: "))
            #expect(try await api.resource["state"] == "stopped")
            #expect(try await api.resource["hasPassword"] == false)
        }
    }

    @Test func `where nobody listens it goes on trying, and has OBS when OBS comes`() async throws {
        try await OBSStudio.apart { suite, obs in
            try await obs.kill()
            let api = OBSClient(suite)
            let start = ContinuousClock.now
            let answer = try await api.send("POST", "/connect", .object(obs.address))
            #expect(answer.isError(500, prefix: "Failed to connect to OBS: "), "\(answer)")
            #expect(ContinuousClock.now - start < .seconds(15))
            let resource = try await api.resource
            #expect(["waiting", "connecting"].contains(resource["state"]?.string))
            #expect(resource["port"] == JSON(obs.port) && resource["problem"]?.string?.isEmpty == false)
            try await obs.start()
            try await api.waitUntilConnected()
            #expect(try await api.resource["problem"] == .null)
        }
    }

    @Test func `what is there but no OBS is told in bounded time`() async throws {
        try await OBSStudio.apart { suite, obs in
            let api = OBSClient(suite)
            // A name that nobody has, a server that speaks HTTP only, one that takes connections and says nothing.
            try obs.freeze()
            for (host, port) in [
                ("no-such-host.invalid", 4455), ("127.0.0.1", suite.port(.obsBridge)), ("127.0.0.1", obs.port),
            ] {
                let start = ContinuousClock.now
                let answer = try await api.send("POST", "/connect", ["host": .string(host), "port": JSON(port)])
                #expect(answer.isError(500, prefix: "Failed to connect to OBS: "), "\(host) \(port): \(answer)")
                #expect(ContinuousClock.now - start < .seconds(35), "\(host) \(port)")
                #expect(try await api.isConnected == false)
            }
            try obs.thaw()
            #expect(try await api.connect(obs).status == 200)
        }
    }

    @Test func `scenes, the current scene and statistics are told as OBS has them`() async throws {
        try await OBSStudio.with(scenes: ["Main", "Intro"]) { studio in
            let (api, hand) = (studio.api, studio.hand)
            try await hand.createInput("Backdrop", in: "Main", ["width": 400, "height": 300])
            try await hand.createInput("Frame", in: "Main", ["width": 1920, "height": 1080])
            try await hand.show("Frame", in: "Main", false)
            try await hand.move("Backdrop", in: "Main", ["positionX": 50, "positionY": 60, "rotation": 15])

            let scenes = try await api.succeed("GET", "/scenes")
            #expect(scenes.body.keys == ["scenes", "currentScene"] && scenes["currentScene"] == "Scene")
            let all = try #require(scenes["scenes"]?.array)
            #expect(all.allSatisfy { $0.keys == ["sceneName", "sceneIndex", "sources"] })
            let indexes = all.reduce(into: [:]) { $0[$1["sceneName"]?.string ?? ""] = $1["sceneIndex"] }
            #expect(try await indexes == hand.sceneIndexes())
            let sources = try #require(all.first { $0["sceneName"] == "Main" }?["sources"]?.array)
            #expect(sources.allSatisfy { $0.keys == ["sourceName", "sourceType", "visible"] })
            #expect(sources.allSatisfy { $0["sourceType"]?.string?.isEmpty == false })
            let visible = sources.reduce(into: [:]) { $0[$1["sourceName"]?.string ?? ""] = $1["visible"] }
            #expect(visible == ["Backdrop": true, "Frame": false])
            #expect(all.first { $0["sceneName"] == "Intro" }?["sources"] == [])

            let switched = try await api.send("POST", "/current-scene", ["sceneName": "Main"])
            #expect(switched.outcome == ["previousScene": "Scene", "currentScene": "Main"])
            #expect(try await hand.programScene == "Main")
            let current = try await api.succeed("GET", "/current-scene")
            #expect(current.body.keys == ["sceneName", "sceneIndex", "sources"] && current["sceneName"] == "Main")
            #expect(try await current["sceneIndex"] == hand.sceneIndexes()["Main"])
            let items = try #require(current["sources"]?.array)
            #expect(items.count == 2)
            let backdrop = try #require(items.first { $0["sourceName"] == "Backdrop" })
            #expect(backdrop.keys == ["sourceName", "sourceType", "visible", "transform"])
            let transform: JSON = [
                "x": 50, "y": 60, "width": 400, "height": 300, "scaleX": 1, "scaleY": 1, "rotation": 15,
            ]
            #expect(backdrop["transform"]?.mismatches(with: transform) == [])

            for body in [[:], ["sceneName": ""], ["sceneName": 5], ["sceneName": nil], []] as [JSON] {
                let answer = try await api.send("POST", "/current-scene", body)
                #expect(answer.isError(400, prefix: ""), "\(body): \(answer)")
            }
            #expect(try await api.send("POST", "/current-scene", ["sceneName": "Nowhere"]).isError(404, prefix: ""))
            #expect(try await hand.programScene == "Main")

            let statistics = try await api.succeed("GET", "/stats")
            #expect(statistics.body.keys == ["stats", "timestamp"] && statistics["timestamp"]?.isTime == true)
            let stats = try #require(statistics["stats"])
            #expect(
                stats.keys == [
                    "cpuUsage", "memoryUsage", "fps", "renderTime", "outputSkippedFrames", "outputTotalFrames",
                ])
            #expect(stats.object?.values.allSatisfy { ($0.double ?? -1) >= 0 } == true, "\(stats)")
            #expect((stats["memoryUsage"]?.double ?? 0) > 1)
        }
    }

    @Test func `what needs OBS says that it is not there, on every path`() async throws {
        try await OBSStudio.with { studio in
            try await studio.obs.kill()
            try await studio.api.waitUntilConnected(false)
            let token = try await studio.suite.token(scope: "obs:*")
            for api in [
                OBSClient(studio.suite, token: token), OBSClient(studio.suite, token: token, connection: "default"),
            ] {
                for (method, tail, body) in [
                    ("GET", "/scenes", nil), ("GET", "/current-scene", nil), ("GET", "/stats", nil),
                    ("POST", "/current-scene", ["sceneName": "Scene"]), ("GET", "/studio-mode", nil),
                    ("POST", "/studio-mode", ["enabled": true]), ("POST", "/preview-scene", ["sceneName": "Scene"]),
                    ("POST", "/transition", [:]), ("GET", "/stream", nil), ("POST", "/stream/start", nil),
                    ("POST", "/stream/stop", nil), ("GET", "/record", nil), ("POST", "/record/start", nil),
                    ("POST", "/record/stop", nil), ("POST", "/inputs/Mic/mute", ["muted": true]),
                    ("GET", "/screenshot", nil),
                ] as [(String, String, JSON?)] {
                    let answer = try await api.send(method, tail, body)
                    #expect(answer.isError(503, prefix: Self.notConnected), "\(method) \(tail): \(answer)")
                }
                let id = try await studio.sources.create("Donations \(ULID().text)")
                for (method, tail, body) in [
                    ("GET", "", nil), ("POST", "/\(id)", [:]), ("DELETE", "/\(id)", nil),
                    ("PUT", "/\(id)/config", ["x": 1]), ("POST", "/bulk", ["sources": [["sourceId": .string(id)]]]),
                    ("DELETE", "/bulk", ["sourceIds": [.string(id)]]),
                ] as [(String, String, JSON?)] {
                    let answer = try await api.send(method, scene: "Scene", tail, body)
                    #expect(answer.isError(503, prefix: Self.notConnected), "\(method) \(tail): \(answer)")
                }
            }
        }
    }
}
