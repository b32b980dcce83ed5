import Events
import Foundation
import TestSupport
import Testing

/// The tests' own OBS, real and played: that the others may build on them.
@Suite(
    "OBS fixtures", .enabled(if: Suite.isEnabled, Suite.reason),
    .enabled(if: OBSFixture.isAvailable, "needs obs-studio and xvfb"), .serialized)
struct OBSFixtureTests {
    private static let color: JSON = ["width": 64, "height": 32, "crosspoint_source": "src_1"]

    @Test func `a real OBS keeps an input over a kill and an orderly end`() async throws {
        try await OBSFixture.with { obs in
            let first = try await OBSHand.connect(port: obs.port, password: obs.password)
            #expect(try await first.request("GetVideoSettings")["baseWidth"] == 640)
            let created = try await first.request(
                "CreateInput",
                [
                    "sceneName": "Scene", "inputName": "A", "inputKind": "color_source_v3",
                    "inputSettings": Self.color,
                ])
            #expect(created["sceneItemId"] == 1)
            try await eventually { obs.savedScenes.contains("src_1") }
            try await obs.kill()
            #expect(try await first.closeCode() == 1006)
            #expect(obs.pid == 0)

            try await obs.start()
            let second = try await OBSHand.connect(port: obs.port, password: obs.password)
            #expect(try await second.request("GetInputSettings", ["inputName": "A"])["inputSettings"] == Self.color)
            let place: JSON = ["positionX": 12.5]
            try await second.request(
                "SetSceneItemTransform", ["sceneName": "Scene", "sceneItemId": 1, "sceneItemTransform": place])
            try await obs.quit()
            #expect(try await second.closeCode() == 1001)

            try await obs.start()
            let third = try await OBSHand.connect(port: obs.port, password: obs.password)
            let items = try await third.request("GetSceneItemList", ["sceneName": "Scene"])["sceneItems"]?.array
            #expect(items?.first?["sceneItemTransform"]?["positionX"] == 12.5)
            await third.close()
        }
    }

    @Test func `a real OBS records, stands still and goes on`() async throws {
        try await OBSFixture.with { obs in
            let hand = try await OBSHand.connect(port: obs.port, password: obs.password, eventSubscriptions: 64)
            try await hand.request("StartRecord")
            try await eventually { hand.hears("RecordStateChanged", ["outputState": "OBS_WEBSOCKET_OUTPUT_STARTED"]) }
            let file = try await hand.request("StopRecord")["outputPath"]?.string ?? ""
            #expect(file.hasPrefix(obs.directory))
            try obs.freeze()
            async let answer = hand.request("GetVersion")
            await #expect(throws: WebSocketClientError.timedOut) {
                try await hand.closeCode(within: .milliseconds(300))
            }
            try obs.thaw()
            #expect(try await answer["obsWebSocketVersion"] == "5.1.0")
            try await obs.setStreamServer("rtmp://127.0.0.1:1/live", key: "k")
            #expect(
                try await hand.request("GetStreamServiceSettings")["streamServiceSettings"]?["server"]
                    == "rtmp://127.0.0.1:1/live")
            await hand.close()
        }
    }

    @Test func `a real OBS starts again after each of ten kills and five orderly ends`() async throws {
        try await OBSFixture.with { obs in
            for _ in 0..<10 {
                try await obs.kill()
                try await obs.start()
            }
            for _ in 0..<5 {
                try await obs.quit()
                try await obs.start()
            }
            await #expect(throws: WebSocketClientError.closed(code: 4009, reason: "Authentication failed.")) {
                _ = try await OBSHand.connect(port: obs.port, password: "wrong")
            }
        }
    }

    @Test func `a played OBS shakes hands and does as it is asked`() async throws {
        try await FakeOBS.with(password: "secret") { obs in
            await #expect(throws: WebSocketClientError.closed(code: 4009, reason: "")) {
                _ = try await OBSHand.connect(port: obs.port, password: "wrong")
            }
            let hand = try await OBSHand.connect(port: obs.port, password: "secret", eventSubscriptions: 525_519)
            let input: JSON = [
                "sceneName": "Scene", "inputName": "A", "inputKind": "browser_source", "inputSettings": Self.color,
            ]
            let created = try await hand.request("CreateInput", input)
            #expect(created["inputUuid"]?.string != nil)
            #expect(created["sceneItemId"] == 1)
            await #expect(throws: OBSRefusal(code: 601, comment: "A source already exists by that name.")) {
                try await hand.request("CreateInput", input)
            }
            try obs.moveItem(1, in: "Scene", x: 5, y: 6)
            try obs.renameInput("A", to: "B")
            try obs.removeItem(1, from: "Scene")
            try await eventually { hand.hears("InputRemoved", ["inputName": "B"]) }
            #expect(
                hand.events.map(\.type) == [
                    "InputCreated", "SceneItemCreated", "SceneItemTransformChanged", "InputNameChanged",
                    "SceneItemRemoved", "InputRemoved",
                ])
            #expect(obs.sceneItems("Scene").isEmpty)
            #expect(obs.requests.map(\.type) == ["CreateInput", "CreateInput"])
            await hand.close()
        }
    }

    @Test func `a played OBS does what a real one would not`() async throws {
        try await FakeOBS.with { obs in
            let hand = try await OBSHand.connect(port: obs.port, password: "", eventSubscriptions: 2047)
            obs.refuse("GetStats", code: 207, times: 1)
            await #expect(throws: OBSRefusal.self) { try await hand.request("GetStats") }
            obs.answer("GetStats", with: ["activeFps": 12])
            #expect(try await hand.request("GetStats")["activeFps"] == 12)

            obs.answersOutOfOrder = true
            async let one = hand.request("GetVersion")
            async let two = hand.request("GetSceneList")
            #expect(try await one["rpcVersion"] == 1)
            #expect(try await two["scenes"]?.array?.count == 1)
            #expect(try await hand.request("GetVersion")["rpcVersion"] == 1)
            obs.answersOutOfOrder = false

            obs.addsUnknownFields = true
            #expect(try await hand.request("GetVersion")["somethingNew"] != nil)
            obs.websocketVersion = "5.1.0"
            #expect(try await hand.request("GetSceneList")["currentProgramSceneUuid"] == nil)

            let batch = try await hand.batch([
                ("CreateScene", ["sceneName": "S"]), ("GetSceneItemList", ["sceneName": "none"]),
            ])
            #expect(batch.map { $0["requestStatus"]?["code"] } == [100, 600])

            obs.stall()
            async let late = hand.request("GetVersion")
            try await eventually { obs.messagesReceived == 10 }
            await #expect(throws: WebSocketClientError.timedOut) {
                try await hand.closeCode(within: .milliseconds(100))
            }
            obs.resume()
            #expect(try await late["rpcVersion"] == 1)

            try obs.switchCollection(to: "Other")
            try await eventually { hand.hears("CurrentSceneCollectionChanged", ["sceneCollectionName": "Other"]) }
            obs.closeAll(code: 4011)
            #expect(try await hand.closeCode() == 4011)
            try await eventually { obs.clients == 0 }

            obs.closeAtIdentify = 4010
            await #expect(throws: WebSocketClientError.closed(code: 4010, reason: "")) {
                _ = try await OBSHand.connect(port: obs.port, password: "")
            }
            obs.closeAtIdentify = nil
            try await obs.stop()
            try await obs.start()
            let again = try await OBSHand.connect(port: obs.port, password: "", eventSubscriptions: 2047)
            obs.exit()
            #expect(try await again.closeCode() == 1001)
            try await eventually { again.events.last?.type == "ExitStarted" }
        }
    }
}

extension OBSHand {
    /// Whether it was told of an event with these members.
    fileprivate func hears(_ type: String, _ members: [String: JSON]) -> Bool {
        self.events.contains { event in event.type == type && members.allSatisfy { event.data[$0.key] == $0.value } }
    }
}
