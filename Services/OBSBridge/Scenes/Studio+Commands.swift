import DomainService
import Events
import ForeignMessages
import HTTPTypes
import ServiceKit

// What clients want of the scenes (contract source-saver §10, *Scenes*). Only from within `perform`.
extension Studio {
    /// Throws 404 for a scene that OBS does not have.
    func placements(in scene: String) async throws -> [Placement] {
        try await self.requireScene(scene)
        return try await self.placements.all(self.stage).filter { $0.scene == scene }
    }

    /// Throws 404, and 409 when it is there already or too many are, or when OBS has no input for it.
    func place(_ source: Source, in scene: String, _ draft: PlacementDraft) async throws -> Placement {
        try await self.requireScene(scene)
        let there = try await self.placements.all(self.stage).filter { $0.scene == scene }
        guard !there.contains(where: { $0.source == source.id }) else {
            throw APIFailure(.conflict, "Source is already present in this scene")
        }
        guard there.count < Placements.perSceneMax else {
            let reason = "A scene holds at most \(Placements.perSceneMax) sources"
            try await self.report(.sceneSyncFailed, reason, source: source.id)
            throw APIFailure(.conflict, reason)
        }
        var config = PlacementConfig(width: Double(source.width), height: Double(source.height))
        try draft.apply(to: &config)
        let (item, input) = try await self.makeItem(of: source, in: scene, visible: config.visible)
        let now = Timestamp.now
        let placement = Placement(
            scene: scene, sceneUUID: self.scenes.first { $0.name == scene }?.uuid, source: source.id,
            sourceName: source.name, config: config, itemID: item,
            itemIndex: (there.map(\.itemIndex).max() ?? -1) + 1, addedAt: now, updatedAt: now)
        do {
            try await self.send(self.moveItem(placement))
            try await self.placements.store([.added(placement)], inputs: [input], on: self.stage)
        } catch {
            // `try?`: what could not be undone is found by the next look.
            _ = try? await self.send(self.removeItem(placement))
            throw error
        }
        return placement
    }

    /// Throws 404.
    func remove(_ source: String, from scene: String) async throws -> Placement {
        let placement = try await self.find(source, in: scene)
        do throws(OBSFailure) {
            try await self.send(self.removeItem(placement))
        } catch {
            // It may be gone already.
            guard error.code == OBSAnswer.notFound else { throw error }
        }
        try await self.placements.store([.removed(placement)], on: self.stage)
        return placement
    }

    /// Throws 404. Nothing happens when nothing changes.
    func configure(_ source: String, in scene: String, _ draft: PlacementDraft) async throws -> Placement {
        let old = try await self.find(source, in: scene)
        var placement = old
        try draft.apply(to: &placement.config)
        let differences = placement.config.differences(from: old.config)
        guard !differences.isEmpty else { return old }
        placement.updatedAt = .now
        if differences.contains(where: { $0.name != "visible" }) { try await self.send(self.moveItem(placement)) }
        if placement.config.visible != old.config.visible { try await self.send(self.showItem(placement)) }
        try await self.placements.store([.changed(placement, differences)], on: self.stage)
        return placement
    }

    private func find(_ source: String, in scene: String) async throws -> Placement {
        try await self.requireScene(scene)
        let placement = try await self.placements.all(self.stage).first { $0.scene == scene && $0.source == source }
        guard let placement else { throw APIFailure(.notFound, "Source is not present in this scene") }
        return placement
    }

    private func requireScene(_ name: String) async throws {
        if self.scenes.contains(where: { $0.name == name }) { return }
        // It may have been made a moment ago.
        let list = try await self.link.request("GetSceneList")["scenes"]?.array ?? []
        let scenes = list.compactMap(StudioSnapshot.Scene.init)
        guard scenes.contains(where: { $0.name == name }) else {
            throw APIFailure.notInOBS("Scene", name)
        }
        self.scenes = scenes
    }

    // MARK: sources

    /// A source has other fields than before.
    func update(_ source: Source, isFresh: Bool) async throws {
        guard let input = self.inputs[source.id] else { return }
        if let request = self.settingsRequest(input, source) {
            try await self.send(request)
            self.inputs[source.id]?.settings = request.data["inputSettings"] ?? [:]
        }
        // Whoever made room for another's name keeps it.
        if !Self.isName(input.name, of: source.name), !self.names.contains(source.name) {
            try await self.send(
                OBSRequest("SetInputName", ["inputName": .string(input.name), "newInputName": .string(source.name)]))
            self.inputs[source.id]?.name = source.name
            self.names.insert(source.name)
            let name = Placements.InputName(source: source.id, name: source.name, uuid: input.uuid)
            try await self.placements.store([], inputs: [name], on: self.stage)
        }
        if isFresh { try await self.refresh(source.id) }
    }

    /// A source is gone. OBS lets an input's items in scenes that are not shown stand when the input goes, so they go first.
    func forget(_ source: String) async throws {
        guard let input = self.inputs.removeValue(forKey: source) else { return }
        var scenes = self.scenes
        try await self.link.readItems(of: &scenes)
        var requests = scenes.flatMap { $0.removals(of: [input.name]) }
        // The input goes with its last item; one without items has to be told.
        requests.append(OBSRequest("RemoveInput", ["inputName": .string(input.name)]))
        _ = try await self.link.batch(requests)
        self.names.remove(input.name)
    }

    /// Loads a source's page anew.
    func refresh(_ source: String) async throws {
        guard let input = self.inputs[source], SourceInput(existing: input.kind).isBrowser else { return }
        try await self.send(
            OBSRequest(
                "PressInputPropertiesButton",
                ["inputName": .string(input.name), "propertyName": "refreshnocache"]))
    }

    /// Loads the pages of active sources anew that were not for their refresh rate.
    func refreshDuePages(at now: ContinuousClock.Instant) async throws {
        let sources = try await self.sources.find(Array(self.inputs.keys), tenant: self.connection.tenant)
        for source in sources.values where source.isActive {
            // The rate is whole seconds, the bridge looks every five.
            let due = self.refreshed[source.id].map { $0 + .seconds(source.refreshRate) - .seconds(1) } ?? now
            guard due <= now else { continue }
            self.refreshed[source.id] = now
            try await self.refresh(source.id)
        }
    }

    /// What a new source would be in this OBS; `nil`: it has no input for it.
    func input() -> SourceInput? {
        SourceInput(self.connection.inputKind, fallback: self.connection.fallbackKind, among: self.kinds)
    }

    private static func isName(_ name: String, of wanted: String) -> Bool {
        name == wanted || (name.hasPrefix("\(wanted) (") && name.hasSuffix(")"))
    }

    // MARK: requests

    private func makeItem(
        of source: Source, in scene: String, visible: Bool
    ) async throws -> (id: Int, input: Placements.InputName) {
        if let input = self.inputs[source.id] {
            do throws(OBSFailure) {
                let answer = try await self.send(self.createItem(of: input.name, in: scene, visible))
                return (
                    Int(answer["sceneItemId"]?.integer ?? 0),
                    .init(source: source.id, name: input.name, uuid: input.uuid)
                )
            } catch {
                guard error.code == OBSAnswer.notFound else { throw error }
                // It went with its last item.
                self.inputs[source.id] = nil
                self.names.remove(input.name)
            }
        }
        guard let input = self.input() else {
            let failure = OBSFailure.missingPlugin(self.connection)
            try await self.report(.activationFailed, failure, source: source.id)
            throw APIFailure(.conflict, failure)
        }
        var attempts = 0
        while true {
            let name = Reconciliation.freeName(source.name, taken: self.names)
            do throws(OBSFailure) {
                let answer = try await self.send(self.createInput(name, source, input, in: scene, visible))
                let uuid = answer["inputUuid"]?.string
                self.names.insert(name)
                self.inputs[source.id] = StudioSnapshot.Input(
                    source: source.id, name: name, uuid: uuid, kind: input.kind,
                    settings: input.settings(of: source, page: self.pages.address(of: source)))
                return (Int(answer["sceneItemId"]?.integer ?? 0), .init(source: source.id, name: name, uuid: uuid))
            } catch {
                guard error.code == OBSAnswer.alreadyExists, attempts < 10 else { throw error }
                attempts += 1
                self.names.insert(name)
            }
        }
    }

    @discardableResult
    private func send(_ request: OBSRequest) async throws(OBSFailure) -> JSON {
        try await self.link.request(request.type, request.data)
    }

    func createInput(
        _ name: String, _ source: Source, _ input: SourceInput, in scene: String, _ visible: Bool
    ) -> OBSRequest {
        OBSRequest(
            "CreateInput",
            [
                "sceneName": .string(scene), "inputName": .string(name), "inputKind": .string(input.kind),
                "inputSettings": input.settings(of: source, page: self.pages.address(of: source)),
                "sceneItemEnabled": .bool(visible),
            ])
    }

    func createItem(of input: String, in scene: String, _ visible: Bool) -> OBSRequest {
        OBSRequest(
            "CreateSceneItem",
            ["sceneName": .string(scene), "sourceName": .string(input), "sceneItemEnabled": .bool(visible)])
    }

    func moveItem(_ placement: Placement) -> OBSRequest {
        OBSRequest("SetSceneItemTransform", placement.itemData(["sceneItemTransform": placement.config.transform]))
    }

    func showItem(_ placement: Placement) -> OBSRequest {
        OBSRequest("SetSceneItemEnabled", placement.itemData(["sceneItemEnabled": .bool(placement.config.visible)]))
    }

    private func removeItem(_ placement: Placement) -> OBSRequest {
        OBSRequest("RemoveSceneItem", placement.itemData([:]))
    }

    /// `nil`: the input has these settings.
    func settingsRequest(_ input: StudioSnapshot.Input, _ source: Source) -> OBSRequest? {
        let wanted = SourceInput(existing: input.kind).settings(of: source, page: self.pages.address(of: source))
        guard wanted.object?.contains(where: { input.settings[$0.key] != $0.value }) ?? false else { return nil }
        return OBSRequest("SetInputSettings", ["inputName": .string(input.name), "inputSettings": wanted])
    }

    // MARK: failures

    /// Tells clients that something could not be done (contract source-saver §4, `system:error`).
    func report(_ code: SystemError.Code, _ failure: OBSFailure, source: String?) async throws {
        try await self.report(code, failure.message, source: source)
    }

    func report(_ code: SystemError.Code, _ reason: String, source: String?) async throws {
        let error = SystemError(
            error: code == .activationFailed
                ? "Failed to activate source" : "Failed to bring a scene of OBS up to date",
            sourceId: source, errorCode: code, details: .init(reason: reason, retryable: code != .activationFailed))
        try await self.placements.report(error, tenant: self.connection.tenant, room: source ?? self.connection.name)
    }
}

extension OBSFailure {
    /// Why an OBS has no input for a source.
    static func missingPlugin(_ connection: OBSConnection) -> String {
        let plugin = connection.inputKind == "browser_source" ? "install the obs-browser plugin" : "install its plugin"
        let fallback = connection.fallbackKind.map { ", nor \($0)" } ?? ""
        return
            "The OBS \(connection.name) has no input kind \(connection.inputKind)\(fallback): \(plugin), or set fallbackKind of the connection to a kind that it has"
    }
}

extension StudioSnapshot.Scene {
    /// What takes these inputs' items out of the scene.
    func removals(of inputs: Set<String>) -> [OBSRequest] {
        self.items.filter { inputs.contains($0.sourceName) }.map { item in
            OBSRequest(
                "RemoveSceneItem", ["sceneName": .string(self.name), "sceneItemId": .integer(Int64(item.id))])
        }
    }
}

extension Placement {
    fileprivate func itemData(_ more: [String: JSON]) -> JSON {
        var data: [String: JSON] = ["sceneName": .string(self.scene), "sceneItemId": .integer(Int64(self.itemID))]
        data.merge(more) { $1 }
        return .object(data)
    }
}
