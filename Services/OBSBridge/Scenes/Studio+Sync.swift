import Events
import ForeignMessages
import Logging

// Stored and seen made the same: on connecting, and whenever something changes in OBS.
extension Studio {
    /// Compares everything, and changes OBS or what is stored, by who wins. A scene collection that was never reconciled is taken over.
    func sync() async throws {
        let kinds = try await self.link.request("GetInputKindList", ["unversioned": false])
        self.kinds = kinds["inputKinds"]?.strings ?? []
        let snapshot = try await self.link.snapshot()
        self.stage.collection = snapshot.collection
        var known = try await self.placements.collections(self.connection.id)
        if !known.contains(snapshot.collection),
            let last = try await self.placements.lastCollection(self.connection.id),
            known.contains(last), !snapshot.collections.contains(last)
        {
            try await self.placements.renameCollection(last, to: self.stage)
            known.insert(snapshot.collection)
        }
        try await self.followRenamedScenes(snapshot)
        if known.contains(snapshot.collection), self.connection.wins == .crosspoint {
            try await self.conform(snapshot)
        } else {
            try await self.adopt(snapshot, isFirst: true)
        }
        try await self.placements.know(self.stage)
        try await self.placements.showing(
            snapshot.programScene, index: snapshot.scene(snapshot.programScene)?.index ?? 0, mayBeFirst: true,
            on: self.stage)
    }

    private func followRenamedScenes(_ snapshot: StudioSnapshot) async throws {
        let stored = try await self.placements.all(self.stage)
        self.take(snapshot, names: try await self.placements.inputs(self.stage))
        let sources = try await self.sourcesByInputName()
        for (old, new) in Reconciliation.renamedScenes(stored, snapshot, sources: sources) {
            try await self.placements.renameScene(old, to: new, on: self.stage)
        }
    }

    private func take(_ snapshot: StudioSnapshot, names: [Placements.InputName]) {
        self.scenes = snapshot.scenes
        self.inputs = Reconciliation.choose(snapshot.inputs, names)
        self.names = snapshot.names
    }

    /// Who of our sources is behind an input's name.
    func sourcesByInputName() async throws -> [String: Source] {
        let sources = try await self.sources.find(Array(self.inputs.keys), tenant: self.connection.tenant)
        return Dictionary(self.inputs.compactMap { id, input in sources[id].map { (input.name, $0) } }) { $1 }
    }

    // MARK: OBS wins

    /// Stores what is seen, and tells of it.
    /// - Parameter isFirst: on connecting, when OBS does not end.
    func adopt(_ snapshot: StudioSnapshot, isFirst: Bool = false) async throws {
        let names = try await self.placements.inputs(self.stage)
        self.take(snapshot, names: names)
        // First, for what is told of placements names the sources.
        let changed = try await self.adoptNames(names, try await self.sourcesByInputName())
        let stored = try await self.placements.all(self.stage)
        let gone = stored.filter { snapshot.scene($0.scene) == nil }.map(PlacementChange.removed)
        let changes = PlacementChange.all(
            stored: stored, scenes: snapshot.scenes, sources: try await self.sourcesByInputName(), at: .now)
        try await self.placements.store(
            isFirst ? gone + changes : self.believable(gone + changes), inputs: changed, on: self.stage)
    }

    /// Stores what is seen in some scenes.
    func adoptScenes(_ changed: Set<String>) async throws {
        var scenes = self.scenes.filter { changed.contains($0.name) }
        try await self.link.readItems(of: &scenes)
        let stored = try await self.placements.all(self.stage)
        let changes = PlacementChange.all(
            stored: stored, scenes: scenes, sources: try await self.sourcesByInputName(), at: .now)
        try await self.placements.store(self.believable(changes, in: changed), on: self.stage)
    }

    /// Without removals that were not seen before: an OBS that ends takes everything down before it says that it ends.
    /// - Parameter scenes: those that were looked at; `nil`: all.
    private func believable(_ changes: [PlacementChange], in scenes: Set<String>? = nil) -> [PlacementChange] {
        let now = ContinuousClock.now
        let removed = Set(changes.compactMap { if case .removed(let placement) = $0 { placement.key } else { nil } })
        self.suspects = self.suspects.filter { key, _ in
            removed.contains(key) || !(scenes?.contains(key.scene) ?? true)
        }
        let believed = changes.filter { change in
            guard case .removed(let placement) = change else { return true }
            guard let since = self.suspects[placement.key] else {
                self.suspects[placement.key] = now
                return false
            }
            return now - since >= Self.removalDelay
        }
        if believed.count < changes.count { self.lookLater() }
        return believed
    }

    /// An input that has another name than before gives it to its source. The names to store.
    private func adoptNames(
        _ names: [Placements.InputName], _ sources: [String: Source]
    ) async throws -> [Placements.InputName] {
        let stored = Dictionary(names.map { ($0.source, $0) }) { $1 }
        var changed: [Placements.InputName] = []
        for (id, input) in self.inputs.sorted(by: { $0.key < $1.key }) {
            guard sources[input.name]?.id == id else { continue }
            let name = Placements.InputName(source: id, name: input.name, uuid: input.uuid)
            if name == stored[id] { continue }
            changed.append(name)
            if let old = stored[id], old.name != input.name {
                try await self.sources.rename(id, to: input.name, tenant: self.connection.tenant)
            }
        }
        return changed
    }

    // MARK: Crosspoint wins

    /// Makes OBS show what is stored. What it cannot do is told, and does not stop the rest.
    private func conform(_ snapshot: StudioSnapshot) async throws {
        let stored = try await self.placements.all(self.stage)
        let names = try await self.placements.inputs(self.stage)
        let ids = Set(stored.map(\.source)).union(snapshot.inputs.map(\.source))
        let sources = try await self.sources.find(Array(ids), tenant: self.connection.tenant)
        let plan = Reconciliation(
            stored: stored, names: names, sources: sources,
            deleted: try await self.placements.deleted(Array(ids)), snapshot: snapshot, at: .now)
        try await self.clear(plan)
        var changes = plan.renumbered
        var inputs = plan.inputs
        let made = try await self.make(plan, sources, &inputs)
        changes += made.map(PlacementChange.renumbered)
        try await self.arrange(made, plan.itemsToMove)
        try await self.updateSettings(sources)
        try await self.placements.store(changes, inputs: inputs, on: self.stage)
    }

    private func clear(_ plan: Reconciliation) async throws {
        let requests =
            plan.scenesToCreate.map { OBSRequest("CreateScene", ["sceneName": .string($0)]) }
            + self.scenes.flatMap { $0.removals(of: Set(plan.inputsToRemove)) }
            + plan.inputsToRemove.map { OBSRequest("RemoveInput", ["inputName": .string($0)]) }
            + plan.itemsToRemove.map { scene, id in
                OBSRequest("RemoveSceneItem", ["sceneName": .string(scene), "sceneItemId": .integer(Int64(id))])
            }
            + plan.inputsToRename.map { from, to in
                OBSRequest("SetInputName", ["inputName": .string(from), "newInputName": .string(to)])
            }
        try await self.carryOut(requests) { _ in nil }
        for (from, to) in plan.inputsToRename {
            for (id, input) in self.inputs where input.name == from { self.inputs[id]?.name = to }
        }
        let known = Set(self.scenes.map(\.name))
        self.scenes += plan.scenesToCreate.filter { !known.contains($0) }
            .map { StudioSnapshot.Scene(name: $0, uuid: nil, index: 0) }
    }

    /// Makes inputs and items. The placements whose items are there now, with their numbers.
    private func make(
        _ plan: Reconciliation, _ sources: [String: Source], _ inputs: inout [Placements.InputName]
    ) async throws -> [Placement] {
        var made: [Placement] = []
        let creations = plan.inputsToCreate.compactMap { creation in
            sources[creation.placement.source].map { (creation, $0) }
        }
        if !creations.isEmpty, self.input() == nil {
            try await self.report(.sceneSyncFailed, OBSFailure.missingPlugin(self.connection), source: nil)
        } else if let input = self.input() {
            let requests = creations.map { creation, source in
                self.createInput(
                    creation.name, source, input, in: creation.placement.scene, creation.placement.config.visible)
            }
            let answers = try await self.carryOut(requests) { creations[$0].1.id }
            for ((creation, source), answer) in zip(creations, answers) {
                guard let answer, let id = answer["sceneItemId"]?.integer else { continue }
                let uuid = answer["inputUuid"]?.string
                self.inputs[source.id] = StudioSnapshot.Input(
                    source: source.id, name: creation.name, uuid: uuid, kind: input.kind,
                    settings: input.settings(of: source, page: self.pages.address(of: source)))
                self.names.insert(creation.name)
                inputs.append(Placements.InputName(source: source.id, name: creation.name, uuid: uuid))
                made.append(creation.placement.with(item: Int(id)))
            }
        }
        let requests = plan.itemsToCreate.map { placement, input in
            self.createItem(of: input, in: placement.scene, placement.config.visible)
        }
        let answers = try await self.carryOut(requests) { plan.itemsToCreate[$0].placement.source }
        for ((placement, _), answer) in zip(plan.itemsToCreate, answers) {
            guard let id = answer?["sceneItemId"]?.integer else { continue }
            made.append(placement.with(item: Int(id)))
        }
        return made
    }

    /// Puts items where they belong; the new ones also to their places in the stack, from the bottom.
    private func arrange(_ made: [Placement], _ moved: [Placement]) async throws {
        let indexed = made.sorted { $0.itemIndex < $1.itemIndex }
        let requests =
            (made + moved).map(self.moveItem)
            + moved.map { self.showItem($0) }
            + indexed.map { placement in
                OBSRequest(
                    "SetSceneItemIndex",
                    [
                        "sceneName": .string(placement.scene), "sceneItemId": .integer(Int64(placement.itemID)),
                        "sceneItemIndex": .integer(Int64(placement.itemIndex)),
                    ])
            }
        let subjects = (made + moved + moved).map(\.source)
        // Where the user has fewer items by now, the stored place is none: nobody needs to hear of that.
        try await self.carryOut(requests) { $0 < subjects.count ? subjects[$0] : nil }
    }

    private func updateSettings(_ sources: [String: Source]) async throws {
        let requests = self.inputs.values.compactMap { input in
            sources[input.source].flatMap { self.settingsRequest(input, $0) }
        }
        try await self.carryOut(requests) { _ in nil }
    }

    /// Sends requests, and tells of those that fail. `nil` for each of these.
    /// - Parameter subject: the source that a request is about; one without is not told of.
    @discardableResult
    private func carryOut(_ requests: [OBSRequest], subject: (Int) -> String?) async throws -> [JSON?] {
        guard !requests.isEmpty else { return [] }
        var data: [JSON?] = []
        for (index, answer) in try await self.link.batch(requests).enumerated() {
            if answer.code == OBSAnswer.notReady { _ = try answer.get() }
            do throws(OBSFailure) {
                data.append(try answer.get())
            } catch {
                data.append(nil)
                self.logger.warning("OBS refused a request", metadata: ["obs.error": "\(error.message)"])
                if let source = subject(index) { try await self.report(.sceneSyncFailed, error, source: source) }
            }
        }
        return data
    }
}

extension Placement {
    func with(item id: Int) -> Placement {
        var placement = self
        placement.itemID = id
        return placement
    }
}
