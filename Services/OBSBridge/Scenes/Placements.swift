import Database
import DomainService
import Events
import ServiceKit

/// The stored placements of sources, and the events that tell of their changes (contract source-saver §11).
struct Placements: Sendable {
    /// What a source's input is called in an OBS.
    struct InputName: Sendable, Equatable {
        var source: String
        var name: String
        var uuid: String?
    }

    /// One scene collection of one OBS.
    struct Stage: Sendable, Hashable {
        var connection: String
        var connectionName: String
        var tenant: String
        var collection: String
    }

    let database: Database
    let writer: EventWriter

    /// Sources in a scene.
    static let perSceneMax = 20

    init(_ service: DomainService) {
        self.database = service.database
        self.writer = service.writer
    }

    /// From the bottom of each scene.
    func all(_ stage: Stage) async throws -> [Placement] {
        try await self.database.query(
            """
            SELECT p.*, s.name AS source_name FROM placements p JOIN sources s ON s.id = p.source
            WHERE p.connection = \(stage.connection) AND p.collection = \(stage.collection)
            ORDER BY p.scene, p.item_index, p.added_at
            """
        ).map { row throws(DatabaseError) in try Placement(row) }
    }

    func inputs(_ stage: Stage) async throws -> [InputName] {
        try await self.database.query(
            """
            SELECT source, name, uuid FROM inputs WHERE connection = \(stage.connection) AND collection = \(stage.collection)
            """
        ).map { row throws(DatabaseError) in
            InputName(
                source: try row.decode("source"), name: try row.decode("name"), uuid: try row.decode("uuid"))
        }
    }

    /// The scene collections of an OBS that were reconciled before.
    func collections(_ connection: String) async throws -> Set<String> {
        let rows = try await self.database.query("SELECT name FROM collections WHERE connection = \(connection)")
        return Set(try rows.map { row throws(DatabaseError) in try row.decode("name") })
    }

    /// The one that an OBS had last.
    func lastCollection(_ connection: String) async throws -> String? {
        let rows = try await self.database.query("SELECT collection FROM connections WHERE id = \(connection)")
        return try rows.first?.decode("collection", as: String?.self)
    }

    /// Which of these sources were deleted.
    func deleted(_ sources: [String]) async throws -> Set<String> {
        let rows = try await self.database.query("SELECT id FROM deleted_sources WHERE id = ANY (\(sources))")
        return Set(try rows.map { row throws(DatabaseError) in try row.decode("id") })
    }

    /// Stores changes that were seen in OBS, and tells of them.
    func store(_ changes: [PlacementChange], inputs: [InputName] = [], on stage: Stage) async throws {
        guard !changes.isEmpty || !inputs.isEmpty else { return }
        try await self.writer.write { mutation in
            for change in changes {
                switch change {
                case .added(let placement): try await mutation.add(placement, to: stage)
                case .removed(let placement): try await mutation.remove(placement, from: stage)
                case .changed(let placement, let changes): try await mutation.change(placement, changes, on: stage)
                case .renumbered(let placement): try await mutation.update(placement, on: stage)
                }
            }
            for input in inputs { try await mutation.store(input, on: stage) }
        }
    }

    /// A scene has another name.
    func renameScene(_ name: String, to newName: String, on stage: Stage) async throws {
        try await self.writer.write { mutation in
            _ = try await mutation.query(
                """
                UPDATE placements p SET scene = \(newName)
                WHERE connection = \(stage.connection) AND collection = \(stage.collection) AND scene = \(name)
                    AND NOT EXISTS (
                        SELECT 1 FROM placements o WHERE o.connection = p.connection AND o.collection = p.collection
                            AND o.scene = \(newName) AND o.source = p.source)
                """)
            _ = try await mutation.query(
                """
                UPDATE connections SET program_scene = \(newName)
                WHERE id = \(stage.connection) AND program_scene = \(name)
                """)
        }
    }

    /// A scene collection has another name.
    func renameCollection(_ name: String, to stage: Stage) async throws {
        try await self.writer.write { mutation in
            for table in ["placements", "inputs"] {
                _ = try await mutation.query(
                    """
                    UPDATE \(unescaped: table) SET collection = \(stage.collection)
                    WHERE connection = \(stage.connection) AND collection = \(name)
                    """)
            }
            _ = try await mutation.query(
                "UPDATE collections SET name = \(stage.collection) WHERE connection = \(stage.connection) AND name = \(name)"
            )
        }
    }

    /// The collection is reconciled.
    func know(_ stage: Stage) async throws {
        try await self.writer.write { mutation in
            _ = try await mutation.query(
                """
                INSERT INTO collections (connection, name) VALUES (\(stage.connection), \(stage.collection))
                ON CONFLICT DO NOTHING
                """)
            _ = try await mutation.query(
                "UPDATE connections SET collection = \(stage.collection) WHERE id = \(stage.connection)")
        }
    }

    /// The program scene is another one. Tells of it if an earlier one is known.
    func showing(_ scene: String, index: Int, mayBeFirst: Bool, on stage: Stage) async throws {
        try await self.writer.write { mutation in
            let row = try await mutation.query("SELECT program_scene FROM connections WHERE id = \(stage.connection)")
                .first
            guard let row else { return }
            let previous = try row.decode("program_scene", as: String?.self)
            guard previous != scene else { return }
            _ = try await mutation.query(
                "UPDATE connections SET program_scene = \(scene) WHERE id = \(stage.connection)")
            guard previous != nil || !mayBeFirst else { return }
            mutation.emit(
                OBSSceneChanged(previousScene: previous, currentScene: scene, sceneIndex: index), on: stage)
        }
    }

    /// Tells that an operation failed.
    func report(_ error: SystemError, tenant: String, room: String) async throws {
        try await self.writer.write { mutation in
            mutation.emit(Event(error, tenant: tenant, room: room, publisher: .obsBridge))
        }
    }
}

extension Mutation {
    fileprivate func emit(_ payload: some EventPayload, on stage: Placements.Stage) {
        self.emit(Event(payload, tenant: stage.tenant, room: stage.connectionName, publisher: .obsBridge))
    }

    fileprivate func add(_ placement: Placement, to stage: Placements.Stage) async throws {
        let config = placement.config
        _ = try await self.query(
            """
            INSERT INTO placements (connection, collection, scene, scene_uuid, source, x, y, width, height, scale_x, scale_y,
                rotation, visible, item_id, item_index, added_at, updated_at)
            VALUES (\(stage.connection), \(stage.collection), \(placement.scene), \(placement.sceneUUID), \(placement.source),
                \(config.x), \(config.y), \(config.width), \(config.height), \(config.scaleX), \(config.scaleY),
                \(config.rotation), \(config.visible), \(placement.itemID), \(placement.itemIndex),
                \(placement.addedAt), \(placement.updatedAt))
            """)
        self.emit(
            SceneSourceAdded(
                sceneName: placement.scene, sourceId: placement.source, sourceName: placement.sourceName, config: config
            ),
            on: stage)
    }

    fileprivate func remove(_ placement: Placement, from stage: Placements.Stage) async throws {
        let rows = try await self.query(
            """
            DELETE FROM placements WHERE connection = \(stage.connection) AND collection = \(stage.collection)
                AND scene = \(placement.scene) AND source = \(placement.source) RETURNING source
            """)
        // The source was deleted meanwhile, and that was told.
        guard !rows.isEmpty else { return }
        self.emit(
            SceneSourceRemoved(
                sceneName: placement.scene, sourceId: placement.source, sourceName: placement.sourceName), on: stage)
    }

    fileprivate func change(
        _ placement: Placement, _ changes: [(name: String, value: JSON)], on stage: Placements.Stage
    ) async throws {
        guard try await self.update(placement, on: stage) else { return }
        self.emit(
            SceneSourceConfigUpdated(
                sceneName: placement.scene, sourceId: placement.source, sourceName: placement.sourceName,
                changes: changes), on: stage)
    }

    /// `false`: it is gone.
    @discardableResult
    fileprivate func update(_ placement: Placement, on stage: Placements.Stage) async throws -> Bool {
        let config = placement.config
        let rows = try await self.query(
            """
            UPDATE placements SET scene_uuid = \(placement.sceneUUID), x = \(config.x), y = \(config.y),
                width = \(config.width), height = \(config.height), scale_x = \(config.scaleX), scale_y = \(config.scaleY),
                rotation = \(config.rotation), visible = \(config.visible), item_id = \(placement.itemID),
                item_index = \(placement.itemIndex), updated_at = \(placement.updatedAt)
            WHERE connection = \(stage.connection) AND collection = \(stage.collection) AND scene = \(placement.scene)
                AND source = \(placement.source) RETURNING source
            """)
        return !rows.isEmpty
    }

    fileprivate func store(_ input: Placements.InputName, on stage: Placements.Stage) async throws {
        _ = try await self.query(
            """
            INSERT INTO inputs (connection, collection, source, name, uuid)
            SELECT \(stage.connection), \(stage.collection), id, \(input.name), \(input.uuid) FROM sources WHERE id = \(input.source)
            ON CONFLICT (connection, collection, source) DO UPDATE SET name = excluded.name, uuid = excluded.uuid
            """)
    }
}
