// What happens to sources in the scenes of OBS: contract source-saver §4. The room is the OBS connection's name.

/// Where and how a source stands in a scene: contract source-saver §9.
public struct PlacementConfig: Sendable, Hashable, Codable {
    /// In pixels of OBS's canvas, of the upper left corner before rotation.
    public var x: Double
    public var y: Double
    /// In pixels, before scaling.
    public var width: Double
    public var height: Double
    public var scaleX: Double
    public var scaleY: Double
    /// In degrees, clockwise, from 0 to 360.
    public var rotation: Double
    public var visible: Bool

    public init(
        x: Double = 0, y: Double = 0, width: Double, height: Double, scaleX: Double = 1, scaleY: Double = 1,
        rotation: Double = 0, visible: Bool = true
    ) {
        self.x = x
        self.y = y
        self.width = width
        self.height = height
        self.scaleX = scaleX
        self.scaleY = scaleY
        self.rotation = rotation
        self.visible = visible
    }

    /// The fields by name, in the contract's order.
    public static let fields: [(name: String, path: any KeyPath<PlacementConfig, Double> & Sendable)] = [
        ("x", \.x), ("y", \.y), ("width", \.width), ("height", \.height), ("scaleX", \.scaleX), ("scaleY", \.scaleY),
        ("rotation", \.rotation),
    ]

    /// The fields in which this differs from `other`, with this one's values. OBS keeps single-precision numbers, so what differs by
    /// less than a hundredth is the same.
    public func differences(from other: PlacementConfig) -> [(name: String, value: JSON)] {
        var differences = Self.fields.filter { abs(self[keyPath: $0.path] - other[keyPath: $0.path]) >= 0.01 }
            .map { (name: $0.name, value: JSON.number(self[keyPath: $0.path])) }
        if self.visible != other.visible { differences.append(("visible", .bool(self.visible))) }
        return differences
    }
}

/// A source was placed in a scene.
public struct SceneSourceAdded: EventPayload, Hashable {
    public static let type: EventType = "scenes.sourceAdded"
    public var sceneName: String
    public var sourceId: String
    public var sourceName: String
    public var config: PlacementConfig

    public init(sceneName: String, sourceId: String, sourceName: String, config: PlacementConfig) {
        self.sceneName = sceneName
        self.sourceId = sourceId
        self.sourceName = sourceName
        self.config = config
    }
}

/// A source was taken out of a scene.
public struct SceneSourceRemoved: EventPayload, Hashable {
    public static let type: EventType = "scenes.sourceRemoved"
    public var sceneName: String
    public var sourceId: String
    public var sourceName: String

    public init(sceneName: String, sourceId: String, sourceName: String) {
        self.sceneName = sceneName
        self.sourceId = sourceId
        self.sourceName = sourceName
    }
}

/// A source was moved, scaled, turned, shown or hidden in a scene, over REST or in OBS.
public struct SceneSourceConfigUpdated: EventPayload, Hashable {
    public static let type: EventType = "scenes.sourceConfigUpdated"
    public var sceneName: String
    public var sourceId: String
    public var sourceName: String
    /// The fields that changed, with their new values.
    public var config: JSON
    /// Their names.
    public var changes: [String]

    public init(
        sceneName: String, sourceId: String, sourceName: String, changes: [(name: String, value: JSON)]
    ) {
        self.sceneName = sceneName
        self.sourceId = sourceId
        self.sourceName = sourceName
        self.config = .object(Dictionary(changes.map { ($0.name, $0.value) }) { _, last in last })
        self.changes = changes.map(\.name)
    }
}
