import Events
import ForeignMessages

/// What has to be done to an OBS so that it shows what is stored: a comparison, without requests.
struct Reconciliation: Sendable {
    /// An input to make, with the placement that it is made for.
    struct Creation: Sendable {
        var placement: Placement
        var name: String
    }

    var scenesToCreate: [String] = []
    var inputsToRemove: [String] = []
    var itemsToRemove: [(scene: String, id: Int)] = []
    /// By a source's first placement.
    var inputsToCreate: [Creation] = []
    /// Further placements of a source whose input is there, or will be; with the input's name.
    var itemsToCreate: [(placement: Placement, input: String)] = []
    /// Those whose item is there and stands elsewhere.
    var itemsToMove: [Placement] = []
    /// What has a name that is not the stored one.
    var inputsToRename: [(from: String, to: String)] = []
    /// Items that are there and whose numbers are other ones than stored.
    var renumbered: [PlacementChange] = []
    /// What the inputs are called afterwards.
    var inputs: [Placements.InputName] = []

    /// - Parameters:
    ///   - names: what is stored of inputs' names.
    ///   - sources: those that placements or inputs name and that are there, by id.
    ///   - deleted: those of the inputs' sources that were deleted.
    init(
        stored: [Placement], names: [Placements.InputName], sources: [String: Source], deleted: Set<String>,
        snapshot: StudioSnapshot, at now: Timestamp
    ) {
        let present = Dictionary(grouping: snapshot.scenes, by: \.name).compactMapValues(\.first)
        let ours = Self.choose(snapshot.inputs, names)
        let placed = Set(stored.map(\.source))
        self.inputsToRemove = snapshot.inputs.filter { input in
            deleted.contains(input.source)
                || (ours[input.source] == input && !placed.contains(input.source) && sources[input.source] != nil)
        }.map(\.name)
        self.scenesToCreate = Set(stored.map(\.scene)).filter { present[$0] == nil }.sorted()

        let byInputName = Dictionary(ours.values.compactMap { input in sources[input.source].map { (input.name, $0) } })
        { $1 }
        for scene in snapshot.scenes {
            let changes = PlacementChange.all(
                stored: stored.filter { $0.scene == scene.name }, scenes: [scene], sources: byInputName, at: now)
            for change in changes {
                switch change {
                case .added(let placement):
                    // An input that goes takes its items along.
                    guard placed.contains(placement.source) else { continue }
                    self.itemsToRemove.append((scene.name, placement.itemID))
                case .changed(let seen, _):
                    guard var wanted = stored.first(where: { $0.key == seen.key }) else { continue }
                    (wanted.itemID, wanted.itemIndex, wanted.sceneUUID) = (seen.itemID, seen.itemIndex, seen.sceneUUID)
                    self.itemsToMove.append(wanted)
                    self.renumbered.append(.renumbered(wanted))
                case .renumbered: self.renumbered.append(change)
                case .removed: break
                }
            }
        }
        self.rename(names, ours, taken: snapshot.names)
        self.create(stored, names, sources, ours, present, byInputName, taken: snapshot.names)
    }

    private mutating func create(
        _ stored: [Placement], _ names: [Placements.InputName], _ sources: [String: Source],
        _ ours: [String: StudioSnapshot.Input], _ present: [String: StudioSnapshot.Scene],
        _ byInputName: [String: Source], taken: Set<String>
    ) {
        // Renaming comes first.
        let renamed = Dictionary(self.inputsToRename.map { ($0.from, $0.to) }) { $1 }
        var inputNames = ours.mapValues { renamed[$0.name] ?? $0.name }
        var taken = taken
        for placement in stored {
            guard let source = sources[placement.source] else { continue }
            if present[placement.scene]?.item(of: placement, byInputName) != nil { continue }
            if let input = inputNames[source.id] {
                self.itemsToCreate.append((placement, input))
            } else {
                let wanted = names.first { $0.source == source.id }?.name ?? source.name
                let name = Self.freeName(wanted, taken: taken)
                taken.insert(name)
                inputNames[source.id] = name
                self.inputsToCreate.append(Creation(placement: placement, name: name))
            }
        }
    }

    private mutating func rename(
        _ names: [Placements.InputName], _ ours: [String: StudioSnapshot.Input], taken: Set<String>
    ) {
        for name in names {
            guard let input = ours[name.source], !self.inputsToRemove.contains(input.name) else { continue }
            var current = name
            current.uuid = input.uuid
            if input.name != name.name {
                if taken.contains(name.name) {
                    current.name = input.name
                } else {
                    self.inputsToRename.append((input.name, name.name))
                }
            }
            if current != name { self.inputs.append(current) }
        }
    }

    /// Which input is a source's: somebody may have duplicated it in OBS. The one with the stored uuid, else the stored name, else the first.
    static func choose(
        _ inputs: [StudioSnapshot.Input], _ names: [Placements.InputName]
    ) -> [String: StudioSnapshot.Input] {
        let stored = Dictionary(names.map { ($0.source, $0) }) { $1 }
        return Dictionary(grouping: inputs, by: \.source).compactMapValues { inputs in
            guard let name = stored[inputs[0].source] else { return inputs.first }
            return inputs.first { $0.uuid != nil && $0.uuid == name.uuid } ?? inputs.first { $0.name == name.name }
                ?? inputs.first
        }
    }

    /// The name, or the name with a number behind it.
    static func freeName(_ wanted: String, taken: Set<String>) -> String {
        guard taken.contains(wanted) else { return wanted }
        var number = 2
        while taken.contains("\(wanted) (\(number))") { number += 1 }
        return "\(wanted) (\(number))"
    }

    /// Scenes that were given another name while nobody listened: by uuid, else because an unknown scene holds all that the missing one held.
    static func renamedScenes(_ stored: [Placement], _ snapshot: StudioSnapshot, sources: [String: Source]) -> [(
        old: String, new: String
    )] {
        let known = Dictionary(grouping: stored, by: \.scene)
        let renamed = known.sorted { $0.key < $1.key }.compactMap { name, placements -> (old: String, new: String)? in
            let uuid = placements.lazy.compactMap(\.sceneUUID).first
            if let uuid, let scene = snapshot.scenes.first(where: { $0.uuid == uuid }) {
                return scene.name == name ? nil : (name, scene.name)
            }
            guard snapshot.scene(name) == nil else { return nil }
            let candidates = snapshot.scenes.filter { scene in
                known[scene.name] == nil && (uuid == nil || scene.uuid == nil)
                    && placements.allSatisfy { placement in
                        scene.items.contains {
                            $0.id == placement.itemID && sources[$0.sourceName]?.id == placement.source
                        }
                    }
            }
            return candidates.count == 1 ? (name, candidates[0].name) : nil
        }
        // Scenes that took each other's names pass through names that nobody has.
        let olds = Set(renamed.map(\.old))
        let (tangled, free) = (renamed.filter { olds.contains($0.new) }, renamed.filter { !olds.contains($0.new) })
        guard !tangled.isEmpty else { return free }
        return (tangled + free).map { ($0.old, "\u{1}\($0.old)") } + (tangled + free).map { ("\u{1}\($0.old)", $0.new) }
    }
}
