import Events
import ForeignMessages

/// What stands in an OBS at one moment, as far as it concerns us.
struct StudioSnapshot: Sendable {
    struct Scene: Sendable {
        var name: String
        var uuid: String?
        /// 0 is the bottom entry of OBS's list.
        var index: Int
        var items: [SceneItem] = []
    }

    /// An input that says in its settings which of our sources it is.
    struct Input: Sendable, Equatable {
        var source: String
        var name: String
        var uuid: String?
        var kind: String
        var settings: JSON = [:]
    }

    var collection: String
    var collections: [String]
    /// In OBS's order.
    var scenes: [Scene]
    var programScene: String
    var inputs: [Input]
    /// Names that are taken: of scenes and of inputs, which share one space.
    var names: Set<String>

    /// The member of an input's settings that holds the source's id. OBS keeps what it does not know.
    static let marker = "crosspoint_source"

    func scene(_ name: String) -> Scene? { self.scenes.first { $0.name == name } }
}

extension OBSLink {
    /// Reads everything: three rounds, of more than one message each only where there is much.
    func snapshot() async throws(OBSFailure) -> StudioSnapshot {
        let first = try await self.batch([
            OBSRequest("GetSceneCollectionList"), OBSRequest("GetSceneList"), OBSRequest("GetInputList"),
        ])
        let (collections, scenes, inputs) = (try first[0].get(), try first[1].get(), try first[2].get())
        var list = (scenes["scenes"]?.array ?? []).compactMap(StudioSnapshot.Scene.init)
        try await self.readItems(of: &list)
        let all = (inputs["inputs"]?.array ?? []).compactMap { input -> StudioSnapshot.Input? in
            guard let name = input["inputName"]?.string, let kind = input["inputKind"]?.string else { return nil }
            return StudioSnapshot.Input(source: "", name: name, uuid: input["inputUuid"]?.string, kind: kind)
        }
        let settings = try await self.batch(
            all.map { OBSRequest("GetInputSettings", ["inputName": .string($0.name)]) })
        var managed: [StudioSnapshot.Input] = []
        for (var input, answer) in zip(all, settings) {
            // One that is gone meanwhile is none of ours; one that OBS will not tell of now might be.
            if answer.code == OBSAnswer.notReady { _ = try answer.get() }
            guard let settings = answer.data["inputSettings"], let source = settings[StudioSnapshot.marker]?.string
            else {
                continue
            }
            (input.source, input.settings) = (source, settings)
            managed.append(input)
        }
        return StudioSnapshot(
            collection: collections["currentSceneCollectionName"]?.string ?? "",
            collections: collections["sceneCollections"]?.strings ?? [], scenes: list,
            programScene: scenes["currentProgramSceneName"]?.string ?? "", inputs: managed,
            names: Set(all.map(\.name)).union(list.map(\.name)))
    }

    /// Reads the scenes' items, bottom to top. A scene that is gone meanwhile has none.
    func readItems(of scenes: inout [StudioSnapshot.Scene]) async throws(OBSFailure) {
        let answers = try await self.batch(
            scenes.map { OBSRequest("GetSceneItemList", ["sceneName": .string($0.name)]) })
        for (index, answer) in answers.enumerated() {
            if answer.code == OBSAnswer.notReady { _ = try answer.get() }
            scenes[index].items = (answer.data["sceneItems"]?.array ?? []).compactMap(SceneItem.init)
        }
    }
}

extension StudioSnapshot.Scene {
    init?(_ scene: JSON) {
        guard let name = scene["sceneName"]?.string else { return nil }
        self.init(name: name, uuid: scene["sceneUuid"]?.string, index: Int(scene["sceneIndex"]?.integer ?? 0))
    }
}
