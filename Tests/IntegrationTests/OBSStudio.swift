import Events
import Glibc
import TestSupport
import Testing

/// A real OBS, a bridge that is connected to it, and somebody who works in that OBS by hand.
struct OBSStudio {
    static let isEnabled = Suite.isEnabled && OBSFixture.isAvailable
    static let reason: Comment = "runs real processes and OBS Studio: ./crosspoint test"

    let suite: Suite
    let obs: OBSFixture
    let hand: OBSHand
    let api: OBSClient
    let sources: SourcesClient

    /// A suite and an OBS that do not know each other.
    static func apart(gateways: Int = 0, _ body: (Suite, OBSFixture) async throws -> Void) async throws {
        try await Suite.with([.auth, .obsBridge], gateways: gateways) { suite in
            try await OBSFixture.with { obs in try await body(suite, obs) }
        }
    }

    /// - Parameters:
    ///   - settings: of the default connection, besides its address.
    ///   - scenes: made by hand.
    ///   - shown: the program scene. Of what is moved in a scene that is not shown, OBS tells when it is.
    static func with(
        gateways: Int = 0, settings: [String: JSON] = [:], scenes: [String] = [], shown: String? = nil,
        _ body: (OBSStudio) async throws -> Void
    ) async throws {
        try await Self.apart(gateways: gateways) { suite, obs in
            let studio = OBSStudio(
                suite: suite, obs: obs, hand: try await obs.hand(), api: OBSClient(suite),
                sources: SourcesClient(suite))
            for scene in scenes { try await studio.hand.createScene(scene) }
            if let shown { try await studio.hand.switchTo(shown) }
            try await studio.api.connect(obs, settings)
            try await body(studio)
            await studio.hand.close()
        }
    }

    /// Ends the bridge, does something, and starts it again.
    func withoutBridge(_ body: () async throws -> Void) async throws {
        #expect(try await self.suite.end("obs-bridge", SIGTERM) == 0)
        try await body()
        try self.suite.start(.obsBridge)
        try await self.suite.waitUntilReady(.obsBridge)
        try await self.api.waitUntilConnected()
    }

    /// What is stored and what OBS has, where they differ: of every placement in these scenes. A question that is refused differs too.
    func disagreements(in scenes: [String], _ hand: OBSHand? = nil) async -> [String] {
        var found: [String] = []
        for scene in scenes {
            do {
                found += try await self.disagreements(in: scene, hand ?? self.hand)
            } catch {
                found.append("\(scene): \(error)")
            }
        }
        return found
    }

    private func disagreements(in scene: String, _ hand: OBSHand) async throws -> [String] {
        var found: [String] = []
        let placements = try await self.api.placements(in: scene)
        for placement in placements {
            guard let name = placement["name"]?.string, let config = placement["sceneConfig"] else { continue }
            found += try await hand.disagreements(with: config, of: name, in: scene)
        }
        let stored = placements.compactMap { $0["name"]?.string }.sorted()
        let items = try await hand.managedItems(in: scene)
        return items == stored ? found : found + ["\(scene) has \(items), stored are \(stored)"]
    }

    /// Waits until they agree; says where they do not.
    func waitUntilAgreed(in scenes: [String], _ hand: OBSHand? = nil, within time: Duration = .seconds(30)) async throws
    {
        // `try?`: what is still different is said better by the expectation.
        try? await Suite.eventually("OBS is as stored", within: time) {
            await self.disagreements(in: scenes, hand) == []
        }
        #expect(await self.disagreements(in: scenes, hand) == [])
    }
}

extension OBSFixture {
    /// Where it is, for a body that makes or changes a connection. It has no browser sources.
    var address: [String: JSON] {
        [
            "host": "127.0.0.1", "port": JSON(self.port), "password": .string(self.password),
            "fallbackKind": "color_source",
        ]
    }

    func hand() async throws -> OBSHand { try await OBSHand.connect(port: self.port, password: self.password) }
}

extension OBSHand {
    // MARK: scenes

    func createScene(_ name: String) async throws {
        try await self.request("CreateScene", ["sceneName": .string(name)])
    }

    func removeScene(_ name: String) async throws {
        try await self.request("RemoveScene", ["sceneName": .string(name)])
    }

    func switchTo(_ scene: String) async throws {
        try await self.request("SetCurrentProgramScene", ["sceneName": .string(scene)])
    }

    var programScene: String? {
        get async throws { try await self.request("GetSceneList")["currentProgramSceneName"]?.string }
    }

    /// By name: its index.
    func sceneIndexes() async throws -> [String: JSON] {
        let scenes = try await self.request("GetSceneList")["scenes"]?.array ?? []
        return scenes.reduce(into: [:]) { $0[$1["sceneName"]?.string ?? ""] = $1["sceneIndex"] }
    }

    // MARK: inputs

    func createInput(
        _ name: String, in scene: String, kind: String = "color_source_v3", _ settings: JSON = [:]
    ) async throws {
        try await self.request(
            "CreateInput",
            [
                "sceneName": .string(scene), "inputName": .string(name), "inputKind": .string(kind),
                "inputSettings": settings,
            ])
    }

    func rename(_ input: String, to name: String) async throws {
        try await self.request("SetInputName", ["inputName": .string(input), "newInputName": .string(name)])
    }

    func removeInput(_ name: String) async throws {
        try await self.request("RemoveInput", ["inputName": .string(name)])
    }

    /// The names of all, sorted.
    func inputs() async throws -> [String] {
        let inputs = try await self.request("GetInputList")["inputs"]?.array ?? []
        return inputs.compactMap { $0["inputName"]?.string }.sorted()
    }

    func settings(of input: String) async throws -> JSON {
        try await self.request("GetInputSettings", ["inputName": .string(input)])
    }

    /// The names of the inputs that stand for a source of the suite, sorted.
    func managedInputs() async throws -> [String] {
        var managed: [String] = []
        for input in try await self.inputs() {
            let settings = try await self.settings(of: input)["inputSettings"]
            if settings?["crosspoint_source"]?.string != nil { managed.append(input) }
        }
        return managed
    }

    // MARK: items

    /// As `GetSceneItemList` has them.
    func items(in scene: String) async throws -> [JSON] {
        try await self.request("GetSceneItemList", ["sceneName": .string(scene)])["sceneItems"]?.array ?? []
    }

    func item(_ input: String, in scene: String) async throws -> JSON {
        guard let item = try await self.items(in: scene).first(where: { $0["sourceName"]?.string == input }) else {
            throw Suite.Failure(description: "no item of \(input) in \(scene)")
        }
        return item
    }

    /// The names of a scene's inputs that stand for a source of the suite, sorted; with an item each.
    func managedItems(in scene: String) async throws -> [String] {
        let managed = Set(try await self.managedInputs())
        return try await self.items(in: scene).compactMap { $0["sourceName"]?.string }.filter(managed.contains).sorted()
    }

    /// Sends a request of one item: `SetSceneItemTransform`, `RemoveSceneItem`, ….
    func change(_ request: String, _ input: String, in scene: String, _ more: JSON = [:]) async throws {
        let item = try await self.item(input, in: scene)
        let data: JSON = ["sceneName": .string(scene), "sceneItemId": item["sceneItemId"] ?? .null]
        try await self.request(request, data.merging(more))
    }

    func move(_ input: String, in scene: String, _ transform: JSON) async throws {
        try await self.change("SetSceneItemTransform", input, in: scene, ["sceneItemTransform": transform])
    }

    func show(_ input: String, in scene: String, _ isVisible: Bool) async throws {
        try await self.change("SetSceneItemEnabled", input, in: scene, ["sceneItemEnabled": .bool(isVisible)])
    }

    func removeItem(_ input: String, in scene: String) async throws {
        try await self.change("RemoveSceneItem", input, in: scene)
    }

    func addItem(_ input: String, to scene: String) async throws {
        try await self.request("CreateSceneItem", ["sceneName": .string(scene), "sourceName": .string(input)])
    }

    /// Where an item is not as a placement's config says, by what is seen: position, size, rotation, visibility.
    func disagreements(with config: JSON, of input: String, in scene: String) async throws -> [String] {
        let items = try await self.items(in: scene).filter { $0["sourceName"]?.string == input }
        guard items.count == 1 else { return ["\(scene) has \(items.count) items of \(input)"] }
        let transform = items[0]["sceneItemTransform"] ?? .null
        let hasBounds = transform["boundsType"] != "OBS_BOUNDS_NONE"
        func number(_ name: String) -> Double { config[name]?.double ?? .nan }
        let seen: [(String, Double)] = [
            ("positionX", number("x")), ("positionY", number("y")), ("rotation", number("rotation")),
            (hasBounds ? "boundsWidth" : "width", number("width") * number("scaleX")),
            (hasBounds ? "boundsHeight" : "height", number("height") * number("scaleY")),
        ]
        var found = seen.filter { name, wanted in
            let difference = abs((transform[name]?.double ?? .infinity) - wanted)
            return !(name == "rotation" ? min(difference, abs(difference - 360)) < 0.05 : difference < 0.05)
        }.map { "\(input) in \(scene): \($0.0) is \(transform[$0.0] ?? .null), not \($0.1)" }
        if items[0]["sceneItemEnabled"] != config["visible"] { found.append("\(input) in \(scene): visible is not") }
        return found
    }
}
