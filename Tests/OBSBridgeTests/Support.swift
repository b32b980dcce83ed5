import Events

@testable import ForeignMessages
@testable import OBSBridge

let now = Timestamp(milliseconds: 1_763_729_205_000)

/// A source whose id and name are the same, unless a name is given.
func source(
    _ id: String, name: String? = nil, url: String = "https://example.org/", width: Int = 640, height: Int = 360,
    css: String = "", js: String = ""
) -> Source {
    Source(
        id: id, name: name ?? id, url: url, width: width, height: height, refreshRate: 30, cssCustom: css, jsCustom: js,
        isActive: true, createdAt: now, updatedAt: now, activatedAt: nil, deactivatedAt: nil)
}

func placement(
    _ source: String, in scene: String = "Scene", uuid: String? = nil, item: Int = 1, index: Int = 0,
    _ config: PlacementConfig = PlacementConfig(width: 640, height: 360)
) -> Placement {
    Placement(
        scene: scene, sceneUUID: uuid, source: source, sourceName: source, config: config, itemID: item,
        itemIndex: index, addedAt: now, updatedAt: now)
}

/// An entry of a scene that stands as `config` says, as OBS answers it.
func itemJSON(
    _ id: Int, _ name: String, index: Int = 0, _ config: PlacementConfig = PlacementConfig(width: 640, height: 360)
) -> JSON {
    [
        "sceneItemId": .integer(Int64(id)), "sceneItemIndex": .integer(Int64(index)), "sourceName": .string(name),
        "sceneItemEnabled": .bool(config.visible), "sceneItemTransform": config.transform,
    ]
}

func item(
    _ id: Int, _ name: String, index: Int = 0, _ config: PlacementConfig = PlacementConfig(width: 640, height: 360)
) -> SceneItem {
    guard let item = SceneItem(itemJSON(id, name, index: index, config)) else {
        preconditionFailure("an item of a test is none")
    }
    return item
}

func scene(_ name: String, uuid: String? = nil, _ items: [SceneItem] = []) -> StudioSnapshot.Scene {
    StudioSnapshot.Scene(name: name, uuid: uuid, index: 0, items: items)
}

func scene(uuid: String? = nil, _ items: [SceneItem]) -> StudioSnapshot.Scene { scene("Scene", uuid: uuid, items) }

/// An input of a source.
func input(_ source: String, name: String? = nil, uuid: String? = nil) -> StudioSnapshot.Input {
    StudioSnapshot.Input(source: source, name: name ?? source, uuid: uuid, kind: "browser_source")
}

/// - Parameter others: names of inputs that are none of ours.
func snapshot(
    _ scenes: [StudioSnapshot.Scene], inputs: [StudioSnapshot.Input] = [], others: [String] = []
) -> StudioSnapshot {
    StudioSnapshot(
        collection: "Untitled", collections: ["Untitled"], scenes: scenes, programScene: scenes.first?.name ?? "",
        inputs: inputs, names: Set(scenes.map(\.name) + inputs.map(\.name) + others))
}

func byID(_ sources: Source...) -> [String: Source] {
    Dictionary(sources.map { ($0.id, $0) }) { $1 }
}
