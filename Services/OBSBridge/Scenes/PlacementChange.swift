import Events
import ForeignMessages

/// A difference between what is stored of placements and what stands in OBS, from stored to seen.
enum PlacementChange: Sendable {
    case added(Placement)
    case removed(Placement)
    /// With the fields that differ.
    case changed(Placement, [(name: String, value: JSON)])
    /// Only OBS's own numbers differ: nobody is told.
    case renumbered(Placement)

    /// Compares scenes with what is stored of them. The items of a source in a scene other than the placement's own, or the first
    /// one, are the user's own business.
    /// - Parameters:
    ///   - sources: who of our sources an item's source is, by its name in OBS.
    static func all(
        stored: [Placement], scenes: [StudioSnapshot.Scene], sources: [String: Source], at now: Timestamp
    ) -> [PlacementChange] {
        let known = Dictionary(grouping: stored, by: \.scene)
        var changes: [PlacementChange] = []
        for scene in scenes {
            let placements = known[scene.name] ?? []
            for placement in placements {
                guard let item = scene.item(of: placement, sources) else {
                    changes.append(.removed(placement))
                    continue
                }
                if let change = placement.change(to: item, in: scene, at: now) { changes.append(change) }
            }
            var seen = Set(placements.map(\.source))
            for item in scene.items {
                guard let source = sources[item.sourceName], seen.insert(source.id).inserted else { continue }
                changes.append(
                    .added(
                        Placement(
                            scene: scene.name, sceneUUID: scene.uuid, source: source.id, sourceName: source.name,
                            config: item.config(knowing: nil), itemID: item.id, itemIndex: item.index, addedAt: now,
                            updatedAt: now)))
            }
        }
        return changes
    }
}

extension StudioSnapshot.Scene {
    /// The item that a placement is: the one with its number, else the source's first.
    func item(of placement: Placement, _ sources: [String: Source]) -> SceneItem? {
        let candidates = self.items.filter { sources[$0.sourceName]?.id == placement.source }
        return candidates.first { $0.id == placement.itemID } ?? candidates.first
    }
}

extension Placement {
    fileprivate func change(to item: SceneItem, in scene: StudioSnapshot.Scene, at now: Timestamp) -> PlacementChange? {
        var seen = self
        seen.itemID = item.id
        seen.itemIndex = item.index
        seen.sceneUUID = scene.uuid
        let config = item.config(knowing: self.config)
        let differences = config.differences(from: self.config)
        guard differences.isEmpty else {
            seen.config = config
            seen.updatedAt = now
            return .changed(seen, differences)
        }
        return seen == self ? nil : .renumbered(seen)
    }
}
