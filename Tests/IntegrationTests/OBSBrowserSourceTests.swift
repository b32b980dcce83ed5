import Events
import Glibc
import TestSupport
import Testing

/// Browser sources and what newer versions of OBS have, uuids above all, in a played OBS: the one on the test machines has neither.
@Suite("OBS browser sources", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct OBSBrowserSourceTests {
    @Test func `a source is a browser source with its page, size and style`() async throws {
        try await OBSFaultTests.with { suite, obs, api in
            let sources = SourcesClient(suite)
            let made = try await sources.send("POST", "", .donations(with: "cssCustom", "body { margin: 0 }"))
            let id = try #require(made["id"]?.string)
            try await api.place(id, in: "Main", ["width": 400])
            #expect(obs.sceneItems("Main").first?["inputKind"] == "browser_source")
            func settings() throws -> JSON { try obs.inputSettings("Donations") }
            let wanted: [String: JSON] = [
                "url": "https://example.com/widget", "width": 800, "height": 600, "css": "body { margin: 0 }",
                "shutdown": true, "crosspoint_source": .string(id),
            ]
            for (key, value) in wanted { #expect(try settings()[key] == value, "\(key)") }

            let change: JSON = ["url": "https://example.com/other", "width": 1280, "cssCustom": ""]
            #expect(try await sources.send("PUT", "/\(id)", change).status == 200)
            try await Suite.eventually("the input has it", within: .seconds(5)) {
                try settings()["url"] == "https://example.com/other" && settings()["width"] == 1280
                    && settings()["css"] == ""
            }
            #expect(try settings()["crosspoint_source"]?.string == id)
            #expect(try await api.config(of: id, in: "Main")?["width"] == 400)
            #expect(obs.sceneItems("Main").first?["sceneItemTransform"]?["boundsWidth"] == 400)

            let pressed = obs.requests.count { $0.type == "PressInputPropertiesButton" }
            #expect(try await sources.send("POST", "/\(id)/activate").status == 200)
            try await Suite.eventually("the page is loaded anew", within: .seconds(5)) {
                obs.requests.count { $0.type == "PressInputPropertiesButton" } == pressed + 1
            }
            let press = try #require(obs.requests.last { $0.type == "PressInputPropertiesButton" }?.data)
            #expect(press["propertyName"] == "refreshnocache")
            let uuid = obs.sceneItems("Main").first?["sourceUuid"]
            #expect(press["inputName"] == "Donations" || press["inputUuid"] == uuid)
        }
    }

    @Test func `a script of one's own comes from a page of the bridge`() async throws {
        try await OBSFaultTests.with { suite, obs, api in
            let sources = SourcesClient(suite)
            let script = "document.title = 'ours'; // & < > \"é\""
            let made = try await sources.send("POST", "", .donations(with: "jsCustom", .string(script)))
            let id = try #require(made["id"]?.string)
            try await api.place(id, in: "Main")
            let root = "http://127.0.0.1:\(suite.port(.obsBridge))"
            func page() async throws -> HTTPClient.Answer {
                let url = try #require(try obs.inputSettings("Donations")["url"]?.string)
                #expect(url.hasPrefix("\(root)/"), "\(url)")
                // Chromium sends no credential.
                return try await HTTPClient.request(
                    "GET", port: suite.port(.obsBridge), path: String(url.dropFirst(root.count)))
            }
            let answer = try await page()
            let text = String(decoding: answer.body, as: UTF8.self)
            #expect(answer.status == 200 && answer.headers["content-type"]?.hasPrefix("text/html") == true)
            #expect(text.contains(script) && text.contains("https://example.com/widget"), "\(text)")

            // It does not end the element that it is in.
            let evil = "let x = '</script><b>broken</b>'; <!-- <script>"
            #expect(try await sources.send("PUT", "/\(id)", ["jsCustom": .string(evil)]).status == 200)
            try await Suite.eventually("the page has it", within: .seconds(5)) {
                String(decoding: try await page().body, as: UTF8.self).contains("let x = ")
            }
            #expect(!String(decoding: try await page().body, as: UTF8.self).contains("</script><b>"))

            #expect(try await sources.send("PUT", "/\(id)", ["jsCustom": ""]).status == 200)
            try await Suite.eventually("the page is the source's own", within: .seconds(5)) {
                try obs.inputSettings("Donations")["url"] == "https://example.com/widget"
            }
        }
    }

    @Test func `without the plugin it says which is missing, and takes what it may instead`() async throws {
        let kinds = ["image_source", "color_source", "color_source_v2", "color_source_v3", "color_source_v10"]
        try await OBSFaultTests.with(kinds: kinds) { suite, obs, api in
            let id = try await SourcesClient(suite).create("Donations")
            let answer = try await api.send("POST", scene: "Main", "/\(id)")
            #expect(answer.status == 409 && answer["error"]?.string?.contains("browser_source") == true, "\(answer)")
            let error = try #require(try await api.log("system.error").last?["data"])
            #expect(error["errorCode"] == "ACTIVATION_FAILED" && error["sourceId"]?.string == id)
            #expect(error["details"]?["retryable"]?.bool != nil)
            #expect(try await api.placements(in: "Main") == [] && obs.sceneItems("Main") == [])
            let bulk = try await api.send("POST", scene: "Main", "/bulk", ["sources": [["sourceId": .string(id)]]])
            #expect(bulk["failedCount"] == 1)
            #expect(bulk["results"]?.array?.first?["message"]?.string?.contains("browser_source") == true)

            try await api.succeed("PUT", "/connections/default", ["fallbackKind": "ffmpeg_source"])
            #expect(try await api.send("POST", scene: "Main", "/\(id)").status == 409)
            try await api.succeed("PUT", "/connections/default", ["fallbackKind": "color_source"])
            try await api.waitUntilConnected()
            try await api.place(id, in: "Main")
            // The newest version, by its number.
            #expect(obs.sceneItems("Main").first?["inputKind"] == "color_source_v10")
            #expect(try obs.inputSettings("Donations")["crosspoint_source"]?.string == id)
        }
    }

    @Test func `with the plugin the other kind is not used`() async throws {
        try await OBSFaultTests.with(settings: ["fallbackKind": "color_source"]) { suite, obs, api in
            try await api.place(try await SourcesClient(suite).create("Donations"), in: "Main")
            #expect(obs.sceneItems("Main").first?["inputKind"] == "browser_source")
        }
    }

    @Test(arguments: ["crosspoint", "obs"])
    func `names that changed while the bridge was away are followed by uuid`(_ wins: String) async throws {
        try await OBSFaultTests.with(settings: ["wins": .string(wins)]) { suite, obs, api in
            let id = try await SourcesClient(suite).create("Donations")
            let config = try await api.place(id, in: "Main", ["x": 5])
            let item = obs.sceneItems("Main").first?["sceneItemId"]
            #expect(try await suite.end("obs-bridge", SIGTERM) == 0)
            try obs.renameScene("Main", to: "Live")
            try obs.renameInput("Donations", to: "Tips")
            try suite.start(.obsBridge)
            try await suite.waitUntilReady(.obsBridge)
            try await api.waitUntilConnected()
            try await Suite.eventually("the placement is in the scene's new name") {
                try await api.config(of: id, in: "Live") == config
            }
            let absent = "Scene 'Main' not found in OBS"
            #expect(try await api.send("GET", scene: "Main").isError(404, prefix: absent))
            #expect(obs.sceneItems("Live").map { $0["sceneItemId"] } == [item])
            #expect(try obs.byHand("GetInputList")["inputs"]?.array?.count == 1)
            #expect(try obs.byHand("GetSceneList")["scenes"]?.array?.count == 2)
            // They are called the same, whoever wins.
            let name = try await SourcesClient(suite).send("GET", "/\(id)")["name"]
            try await Suite.eventually("the input has the source's name") {
                obs.sceneItems("Live").first?["sourceName"] == name
            }
            #expect(wins == "obs" ? name == "Tips" : ["Tips", "Donations"].contains(name))
        }
    }

    @Test(arguments: [("5.1.0", false), ("5.3.0", false), ("5.5.2", false), ("5.7.3", true)])
    func `every version is worked with`(_ version: String, _ addsFields: Bool) async throws {
        try await OBSFaultTests.with(version: version) { suite, obs, api in
            obs.addsUnknownFields = addsFields
            try await api.succeed("POST", "/reconnect")
            #expect(try await api.succeed("GET", "/status")["websocketVersion"]?.string == version)
            let id = try await SourcesClient(suite).create("Donations")
            try await api.place(id, in: "Main", ["x": 5])
            try await api.change(id, in: "Main", ["y": 6])
            let item = try #require(obs.sceneItems("Main").first?["sceneItemId"]?.double.map { Int($0) })
            try obs.moveItem(item, in: "Main", x: 70, y: 80)
            try obs.enableItem(item, in: "Main", false)
            try await Suite.eventually("it is stored") {
                let config = try await api.config(of: id, in: "Main")
                return config?["x"] == 70 && config?["y"] == 80 && config?["visible"] == false
            }
            try obs.renameInput("Donations", to: "Tips")
            try obs.renameScene("Main", to: "Live")
            try await Suite.eventually("the names are followed") {
                try await api.send("GET", scene: "Live")["sources"]?.array?.first?["name"] == "Tips"
            }
            try obs.byHand("SetCurrentProgramScene", ["sceneName": "Live"])
            try await Suite.eventually("the scene is known") { try await api.resource["currentScene"] == "Live" }
            #expect(try await api.succeed("GET", "/stats")["stats"]?["renderTime"] == 2.5)
            try await api.succeed("POST", "/reconnect")
            #expect(try await api.placements(in: "Live").count == 1 && obs.sceneItems("Live").count == 1)
            #expect(try await api.send("DELETE", scene: "Live", "/\(id)").status == 200)
            #expect(obs.sceneItems("Live") == [])
            #expect(
                try await api.changes().map { $0["type"]?.string }.filter { $0 != "scenes.sourceConfigUpdated" }
                    == ["scenes.sourceAdded", "sources.update", "scenes.sourceRemoved"])
        }
    }

    @Test func `another scene collection takes no placement away, whatever OBS says meanwhile`() async throws {
        try await OBSFaultTests.with { suite, obs, api in
            var ids: [String] = []
            for name in ["One", "Two", "Three"] { ids.append(try await SourcesClient(suite).create(name)) }
            for id in ids { try await api.place(id, in: "Main", ["x": 5]) }
            #expect(try await api.send("DELETE", scene: "Main", "/\(ids[0])").status == 200)
            let told = try await api.changes()
            for collection in ["Second", "Untitled", "Second", "Untitled"] {
                try obs.switchCollection(to: collection)
                // Placements belong to a scene collection, and rest while another one is there.
                let isHome = collection == "Untitled"
                try await Suite.eventually("the bridge knows what is in \(collection)") {
                    let answer = try await api.send("GET", scene: "Main")
                    return isHome ? answer["totalSources"] == 2 : answer.status == 404
                }
                let names = obs.sceneItems("Main").map { $0["sourceName"]?.string ?? "" }.sorted()
                #expect(names == (isHome ? ["Three", "Two"] : []))
            }
            // The ids that OBS told are wrong.
            try await api.change(ids[1], in: "Main", ["x": 77])
            let moved = obs.sceneItems("Main").first { $0["sourceName"] == "Two" }
            #expect(moved?["sceneItemTransform"]?["positionX"] == 77)
            #expect(try await api.changes().dropLast() == told[...])
        }
    }

    @Test func `statistics are OBS's own numbers`() async throws {
        try await OBSFaultTests.with { _, obs, api in
            obs.answer(
                "GetStats",
                with: [
                    "cpuUsage": 12.5, "memoryUsage": 345.25, "activeFps": 59.5, "averageFrameRenderTime": 3.75,
                    "outputSkippedFrames": 7, "outputTotalFrames": 9000,
                ])
            let stats: JSON = [
                "cpuUsage": 12.5, "memoryUsage": 345.25, "fps": 59.5, "renderTime": 3.75, "outputSkippedFrames": 7,
                "outputTotalFrames": 9000,
            ]
            try await Suite.eventually("they are told", within: .seconds(12)) {
                try await api.succeed("GET", "/stats")["stats"] == stats
            }
        }
    }
}
