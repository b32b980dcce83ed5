import Database
import Events

/// A source in a scene of an OBS: contract source-saver §9, *SceneSource*. Unique by scene and source in its scene collection.
struct Placement: Sendable, Equatable {
    var scene: String
    /// `nil`: that OBS has none (obs-websocket before 5.3).
    var sceneUUID: String?
    var source: String
    var sourceName: String
    var config: PlacementConfig
    /// The scene item; unique in its scene only.
    var itemID: Int
    /// From the bottom of the scene.
    var itemIndex: Int
    var addedAt: Timestamp
    var updatedAt: Timestamp

    struct Key: Hashable, Sendable {
        var scene: String
        var source: String
    }

    var key: Key { Key(scene: self.scene, source: self.source) }
}

extension Placement {
    init(_ row: Row) throws(DatabaseError) {
        self.init(
            scene: try row.decode("scene"), sceneUUID: try row.decode("scene_uuid"), source: try row.decode("source"),
            sourceName: try row.decode("source_name"),
            config: PlacementConfig(
                x: try row.decode("x"), y: try row.decode("y"), width: try row.decode("width"),
                height: try row.decode("height"), scaleX: try row.decode("scale_x"),
                scaleY: try row.decode("scale_y"), rotation: try row.decode("rotation"),
                visible: try row.decode("visible")),
            itemID: try row.decode("item_id"), itemIndex: try row.decode("item_index"),
            addedAt: try row.decode("added_at"), updatedAt: try row.decode("updated_at"))
    }
}
