import Events
import Foundation
import TestSupport
import Testing

/// Streaming, recording, sound, pictures and studio mode of a real OBS over HTTP: what is answered is what OBS has reached.
@Suite("OBS control", .enabled(if: OBSStudio.isEnabled, OBSStudio.reason), .serialized)
struct OBSControlTests {
    private static let streamKeys: Set = [
        "active", "reconnecting", "timecode", "durationMs", "bytes", "congestion", "skippedFrames", "totalFrames",
    ]
    private static let recordKeys: Set = ["active", "paused", "timecode", "durationMs", "bytes"]
    private static let said: Set = ["success", "message"]

    /// A studio whose client may do everything.
    private static func with(_ body: (OBSStudio, OBSClient) async throws -> Void) async throws {
        try await OBSStudio.with(scenes: ["Main"]) { studio in
            try await body(studio, OBSClient(studio.suite, token: try await studio.suite.token(scope: "obs:*")))
        }
    }

    @Test(.enabled(if: RTMPListener.isAvailable, "needs ffmpeg"))
    func `a stream is started and stopped, and the answer is what OBS has reached`() async throws {
        try await Self.with { studio, api in
            try await RTMPListener.with { address in
                try await studio.obs.setStreamServer(address, key: RTMPListener.key)
                let before = try await api.succeed("GET", "/stream")
                #expect(before.body.keys == Self.streamKeys && before["active"] == false)
                #expect(try await api.send("POST", "/stream/stop").isError(409, prefix: ""))

                let started = try await api.send("POST", "/stream/start")
                #expect(started.outcome?.keys == Self.streamKeys && started["active"] == true, "\(started)")
                #expect(try await studio.hand.request("GetStreamStatus")["outputActive"] == true)
                #expect(try await api.send("POST", "/stream/start").isError(409, prefix: ""))
                try await Suite.eventually("the stream flows") {
                    let status = try await api.succeed("GET", "/stream")
                    return status["active"] == true && (status["bytes"]?.double ?? 0) > 0
                        && (status["durationMs"]?.double ?? 0) > 0 && (status["totalFrames"]?.double ?? 0) > 0
                }

                let stopped = try await api.send("POST", "/stream/stop")
                #expect(stopped.outcome?.keys == Self.streamKeys && stopped["active"] == false, "\(stopped)")
                #expect(try await studio.hand.request("GetStreamStatus")["outputActive"] == false)
                #expect(try await api.succeed("GET", "/stream")["active"] == false)
            }
        }
    }

    @Test func `a stream to a server that is not there fails in bounded time`() async throws {
        try await Self.with { studio, api in
            // At first there is no server at all.
            for address in [nil, RTMPListener.deadAddress] {
                if let address { try await studio.obs.setStreamServer(address, key: "key") }
                let start = ContinuousClock.now
                let answer = try await api.send("POST", "/stream/start")
                #expect(answer.isError(500, prefix: "Failed to start the stream: "), "\(answer)")
                #expect(ContinuousClock.now - start < .seconds(40))
                #expect(try await studio.hand.request("GetStreamStatus")["outputActive"] == false)
                #expect(try await api.succeed("GET", "/stream")["active"] == false)
                #expect(try await api.send("POST", "/stream/stop").isError(409, prefix: ""))
            }
        }
    }

    @Test func `a recording is started and stopped, and the answer is what OBS has reached`() async throws {
        try await Self.with { studio, api in
            let before = try await api.succeed("GET", "/record")
            #expect(before.body.keys == Self.recordKeys && before["active"] == false && before["paused"] == false)
            #expect(try await api.send("POST", "/record/stop").isError(409, prefix: ""))
            let started = try await api.send("POST", "/record/start")
            #expect(started.outcome?.keys == Self.recordKeys && started["active"] == true, "\(started)")
            #expect(try await studio.hand.request("GetRecordStatus")["outputActive"] == true)
            #expect(try await api.send("POST", "/record/start").isError(409, prefix: ""))
            try await Suite.eventually("something is recorded") {
                let status = try await api.succeed("GET", "/record")
                return status["active"] == true && (status["bytes"]?.double ?? 0) > 0
                    && (status["durationMs"]?.double ?? 0) > 0
            }
            let stopped = try await api.send("POST", "/record/stop")
            #expect(stopped.outcome?.keys == Self.recordKeys.union(["outputPath"]), "\(stopped)")
            #expect(stopped["active"] == false)
            #expect(try await studio.hand.request("GetRecordStatus")["outputActive"] == false)
            let path = try #require(stopped["outputPath"]?.string)
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
            #expect(path.hasPrefix(studio.obs.directory) && (size ?? 0) > 0)

            // Also one that somebody else has started.
            try await studio.hand.request("StartRecord")
            try await Suite.eventually("it is recording") { try await api.succeed("GET", "/record")["active"] == true }
            #expect(try await api.send("POST", "/record/start").isError(409, prefix: ""))
            #expect(try await api.send("POST", "/record/stop")["active"] == false)
        }
    }

    @Test func `an input is muted, and the answer is what OBS says`() async throws {
        try await Self.with { studio, api in
            let hand = studio.hand
            for name in ["Jingle", "Mic/Aux 100% ✨"] {
                try await hand.createInput(name, in: "Main", kind: "ffmpeg_source")
                let path = "/inputs/\(name.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? "")/mute"
                for isMuted in [true, true, false] {
                    let answer = try await api.send("POST", path, ["muted": .bool(isMuted)])
                    #expect(answer.outcome == ["inputName": .string(name), "muted": .bool(isMuted)])
                    #expect(
                        try await hand.request("GetInputMute", ["inputName": .string(name)])["inputMuted"]
                            == .bool(isMuted))
                }
            }
            try await hand.createInput("Backdrop", in: "Main")
            #expect(try await api.send("POST", "/inputs/Backdrop/mute", ["muted": true]).isError(400, prefix: ""))
            #expect(try await api.send("POST", "/inputs/Nothing/mute", ["muted": true]).isError(404, prefix: ""))
            for body in [[:], ["muted": "yes"], ["muted": 1], ["muted": nil], []] as [JSON] {
                #expect(try await api.send("POST", "/inputs/Jingle/mute", body).isError(400, prefix: ""), "\(body)")
            }
            #expect(try await hand.request("GetInputMute", ["inputName": "Jingle"])["inputMuted"] == false)
        }
    }

    @Test func `a screenshot is a picture of the size that was asked for`() async throws {
        try await Self.with { studio, api in
            try await studio.hand.createInput("Back drop", in: "Main", ["width": 320, "height": 180])
            let whole = try await api.succeed("GET", "/screenshot")
            #expect(whole.body.keys == ["sourceName", "format", "imageData"])
            #expect(whole["sourceName"] == "Scene" && whole["format"] == "png")
            let canvas = try await studio.hand.request("GetVideoSettings")
            let size = try PNG(whole)
            #expect(size.width == canvas["baseWidth"]?.double.map { Int($0) })
            #expect(size.height == canvas["baseHeight"]?.double.map { Int($0) })
            let small = try await api.succeed("GET", "/screenshot?source=Main&format=png&width=64&height=36")
            #expect(try PNG(small) == PNG(width: 64, height: 36) && small["sourceName"] == "Main")
            let input = try await api.succeed("GET", "/screenshot?source=Back%20drop")
            #expect(try PNG(input) == PNG(width: 320, height: 180) && input["sourceName"] == "Back drop")
            let other = try await api.succeed("GET", "/screenshot?format=jpg&quality=50")
            #expect(other["imageData"]?.string?.hasPrefix("data:image/jp") == true && other["format"] == "jpg")

            #expect(try await api.send("GET", "/screenshot?source=Nothing").isError(404, prefix: ""))
            for query in [
                "format=nonsense", "width=7", "width=4097", "height=7", "width=x", "width=", "quality=101",
                "quality=-2",
                "quality=x", "format=png%00",
            ] {
                #expect(try await api.send("GET", "/screenshot?\(query)").isError(400, prefix: ""), "\(query)")
            }
        }
    }

    @Test func `in studio mode a scene is looked at first and then shown`() async throws {
        try await Self.with { studio, api in
            let hand = studio.hand
            #expect(try await api.succeed("GET", "/studio-mode").body == ["enabled": false, "previewScene": nil])
            let main: JSON = ["sceneName": "Main"]
            #expect(try await api.send("POST", "/preview-scene", main).isError(409, prefix: ""))
            #expect(try await api.send("POST", "/transition", [:]).isError(409, prefix: ""))

            #expect(try await api.send("POST", "/studio-mode", ["enabled": true]).outcome == ["enabled": true])
            #expect(try await hand.request("GetStudioModeEnabled")["studioModeEnabled"] == true)
            #expect(try await api.succeed("GET", "/studio-mode").body == ["enabled": true, "previewScene": "Scene"])
            #expect(try await api.send("POST", "/preview-scene", main).outcome == ["previewScene": "Main"])
            #expect(try await api.succeed("GET", "/studio-mode").body == ["enabled": true, "previewScene": "Main"])
            #expect(try await hand.programScene == "Scene")
            #expect(try await api.send("POST", "/preview-scene", ["sceneName": "Nowhere"]).isError(404, prefix: ""))
            for body in [[:], ["sceneName": 5], []] as [JSON] {
                #expect(try await api.send("POST", "/preview-scene", body).isError(400, prefix: ""), "\(body)")
            }
            for body in [[:], ["enabled": 1], []] as [JSON] {
                #expect(try await api.send("POST", "/studio-mode", body).isError(400, prefix: ""), "\(body)")
            }

            let shown = try await api.send("POST", "/transition", [:])
            #expect(shown.outcome == ["previousScene": "Scene", "currentScene": "Main"], "\(shown)")
            #expect(try await hand.programScene == "Main")
            for body in [["transition": 5], ["duration": "x"], ["duration": 0], ["duration": -1], []] as [JSON] {
                #expect(try await api.send("POST", "/transition", body).isError(400, prefix: ""), "\(body)")
            }
            #expect(try await api.send("POST", "/transition", ["transition": "Nothing"]).isError(404, prefix: ""))
            #expect(try await hand.programScene == "Main")
            let back = try await api.send("POST", "/transition", ["transition": "Fade", "duration": 500])
            #expect(back.outcome == ["previousScene": "Main", "currentScene": "Scene"], "\(back)")
            let transition = try await hand.request("GetCurrentSceneTransition")
            #expect(transition["transitionName"] == "Fade" && transition["transitionDuration"] == 500)

            try await api.succeed("POST", "/preview-scene", ["sceneName": "Scene"])
            #expect(try await api.send("POST", "/studio-mode", ["enabled": false]).outcome == ["enabled": false])
            #expect(try await api.succeed("GET", "/studio-mode").body == ["enabled": false, "previewScene": nil])
            #expect(try await api.send("POST", "/transition", [:]).isError(409, prefix: ""))
            // OBS says that the scene changed as studio mode ends. It did not.
            try await hand.switchTo("Main")
            func scenes() async throws -> [String] {
                try await api.log("obs.sceneChanged").compactMap { $0["data"]?["currentScene"]?.string }
            }
            try await Suite.eventually("the last change is told") { try await scenes().count >= 3 }
            #expect(try await scenes() == ["Main", "Scene", "Main"])
        }
    }
}

/// The size of a picture, which is whole.
private struct PNG: Equatable {
    let width: Int
    let height: Int

    init(width: Int, height: Int) {
        self.width = width
        self.height = height
    }

    /// Of an answer with a data URL.
    init(_ answer: Suite.Answer) throws {
        let prefix = "data:image/png;base64,"
        guard let url = answer["imageData"]?.string, url.hasPrefix(prefix),
            let data = Data(base64Encoded: String(url.dropFirst(prefix.count)))
        else { throw Suite.Failure(description: "no data URL of a PNG: \(answer)") }
        let bytes = Array(data)
        guard bytes.count > 45, bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]),
            bytes[12..<16].elementsEqual(Array("IHDR".utf8)),
            bytes.suffix(8).prefix(4).elementsEqual(Array("IEND".utf8))
        else { throw Suite.Failure(description: "no PNG: \(bytes.prefix(32))") }
        func number(_ start: Int) -> Int { bytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) } }
        self.init(width: number(16), height: number(20))
    }
}
