internal import Events
internal import Foundation

/// What a fake OBS holds: scenes with their items from the bottom to the top, and inputs. What changes is noted as events.
struct FakeOBSModel: Sendable {
    struct Event: Sendable {
        let type: String
        let intent: Int
        let data: [String: JSON]?
    }

    struct Input: Sendable {
        let uuid = UUID().uuidString.lowercased()
        var name: String
        let kind: String
        var settings: [String: JSON]
        var isMuted = false
    }

    struct Item: Sendable {
        let id: Int
        /// The uuid of an input, or of a scene.
        let source: String
        var isEnabled: Bool
        var isLocked = false
        var transform: [String: JSON]
    }

    struct Scene: Sendable {
        let uuid = UUID().uuidString.lowercased()
        var name: String
        var items: [Item] = []
        var lastItem = 0
    }

    /// A scene collection.
    struct Contents: Sendable {
        /// As OBS lists them, from the top.
        var scenes: [Scene]
        var inputs: [Input] = []
        /// The uuid of the scene on program.
        var program: String

        init(scenes: [String]) {
            precondition(!scenes.isEmpty, "OBS has a scene always")
            self.scenes = scenes.map { Scene(name: $0) }
            self.program = self.scenes[0].uuid
        }
    }

    enum Intent {
        static let (general, config, scenes, inputs, outputs, items, ui) = (1, 2, 4, 8, 64, 128, 1024)
        static let transform = 1 << 19
    }

    var settings: FakeOBS.Settings
    var contents: Contents
    var collection = "Untitled"
    private var otherCollections: [String: Contents] = [:]
    var isStudioMode = false
    var isStreaming = false
    var isRecording = false
    private var events: [Event] = []

    init(settings: FakeOBS.Settings, scenes: [String]) {
        self.settings = settings
        self.contents = Contents(scenes: scenes)
    }

    // MARK: what is said

    mutating func takeEvents() -> [Event] {
        defer { self.events = [] }
        return self.events
    }

    mutating func note(_ type: String, _ intent: Int, _ data: [String: JSON]? = nil) {
        self.events.append(Event(type: type, intent: intent, data: data))
    }

    private var minorVersion: Int {
        self.settings.websocketVersion.split(separator: ".").dropFirst().first.flatMap { Int($0) } ?? 0
    }

    var hasUUIDs: Bool { self.minorVersion >= 3 }
    var tellsSettings: Bool { self.minorVersion >= 4 }

    /// As this version says it: without uuids, or with what a later one will have.
    func dressed(_ data: JSON) -> JSON {
        guard var members = (self.hasUUIDs ? data : Self.withoutUUIDs(data)).object else { return data }
        if self.settings.addsUnknownFields {
            members["canvasUuid"] = "6c69626f-6273-4c00-9d88-c5136d61696e"
            members["somethingNew"] = ["of": ["any", "kind", nil, 1.5]]
        }
        return self.settings.numberText == nil ? .object(members) : Self.withoutNumbers(.object(members))
    }

    /// What a message has for each number until it is written; a text that no answer contains.
    private static let numberMark = "(number)"

    private static func withoutNumbers(_ data: JSON) -> JSON {
        switch data {
        case .integer, .number: .string(Self.numberMark)
        case .object(let members): .object(members.mapValues { Self.withoutNumbers($0) })
        case .array(let members): .array(members.map { Self.withoutNumbers($0) })
        default: data
        }
    }

    /// A message's text.
    func text(of message: JSON) -> [UInt8] {
        guard let number = self.settings.numberText else { return message.bytes }
        let text = String(decoding: message.bytes, as: UTF8.self)
        return Array(text.replacing("\"\(Self.numberMark)\"", with: number).utf8)
    }

    private static func withoutUUIDs(_ data: JSON) -> JSON {
        switch data {
        case .object(let members):
            .object(members.filter { !$0.key.hasSuffix("Uuid") }.mapValues { Self.withoutUUIDs($0) })
        case .array(let members): .array(members.map { Self.withoutUUIDs($0) })
        default: data
        }
    }

    func said(_ scene: Scene) -> [String: JSON] {
        ["sceneName": .string(scene.name), "sceneUuid": .string(scene.uuid)]
    }
    func said(_ input: Input) -> [String: JSON] {
        ["inputName": .string(input.name), "inputUuid": .string(input.uuid)]
    }

    func said(_ scene: Scene, _ item: Item, index: Int? = nil) -> [String: JSON] {
        var members = self.said(scene)
        members["sceneItemId"] = .integer(Int64(item.id))
        members["sourceName"] = .string(self.name(of: item))
        members["sourceUuid"] = .string(item.source)
        if let index { members["sceneItemIndex"] = .integer(Int64(index)) }
        return members
    }

    /// The one on the bottom of the list comes first and is 0.
    var saidScenes: JSON {
        .array(
            self.contents.scenes.reversed().enumerated().map { index, scene in
                .object(self.said(scene).merging(["sceneIndex": .integer(Int64(index))]) { $1 })
            })
    }

    func name(of item: Item) -> String {
        self.contents.inputs.first { $0.uuid == item.source }?.name
            ?? self.contents.scenes.first { $0.uuid == item.source }?.name ?? ""
    }

    // MARK: changes

    func checkFree(_ name: String) throws {
        let isTaken =
            self.contents.inputs.contains { $0.name == name } || self.contents.scenes.contains { $0.name == name }
        if isTaken { throw OBSRefusal(code: 601, comment: "A source already exists by that name.") }
    }

    mutating func addItem(_ scene: Int, source: String, isEnabled: Bool) -> Int {
        self.contents.scenes[scene].lastItem += 1
        let item = Item(
            id: self.contents.scenes[scene].lastItem, source: source, isEnabled: isEnabled,
            transform: FakeOBSTransform.initial(
                of: self.contents.inputs.first { $0.uuid == source }?.settings ?? [:]))
        self.contents.scenes[scene].items.append(item)
        let index = self.contents.scenes[scene].items.count - 1
        self.note("SceneItemCreated", Intent.items, self.said(self.contents.scenes[scene], item, index: index))
        return item.id
    }

    /// With the last of its items an input goes too.
    mutating func removeItem(_ scene: Int, _ item: Int) {
        let data = self.said(self.contents.scenes[scene], self.contents.scenes[scene].items[item])
        self.contents.scenes[scene].items.remove(at: item)
        self.note("SceneItemRemoved", Intent.items, data)
        self.removeUnusedInputs()
    }

    /// All its items go too.
    mutating func removeInput(_ index: Int) {
        let input = self.contents.inputs[index]
        let scenes = self.contents.scenes
        self.note("InputRemoved", Intent.inputs, self.said(input))
        for scene in scenes {
            for item in scene.items where item.source == input.uuid {
                self.note("SceneItemRemoved", Intent.items, self.said(scene, item))
            }
        }
        for scene in scenes.indices { self.contents.scenes[scene].items.removeAll { $0.source == input.uuid } }
        self.contents.inputs.remove(at: index)
    }

    mutating func removeScene(_ index: Int) throws {
        guard self.contents.scenes.count > 1 else {
            throw OBSRefusal(code: 603, comment: "You cannot remove the last scene.")
        }
        let scene = self.contents.scenes.remove(at: index)
        for other in self.contents.scenes.indices {
            self.contents.scenes[other].items.removeAll { $0.source == scene.uuid }
        }
        self.note("SceneRemoved", Intent.scenes, self.said(scene).merging(["isGroup": false]) { $1 })
        self.note("SceneListChanged", Intent.scenes, ["scenes": self.saidScenes])
        self.removeUnusedInputs()
        if self.contents.program == scene.uuid { self.show(0) }
    }

    mutating func show(_ index: Int) {
        guard self.contents.program != self.contents.scenes[index].uuid else { return }
        self.contents.program = self.contents.scenes[index].uuid
        self.note("CurrentProgramSceneChanged", Intent.scenes, self.said(self.contents.scenes[index]))
    }

    /// OBS keeps no input that is nowhere in a scene.
    private mutating func removeUnusedInputs() {
        let used = Set(self.contents.scenes.flatMap(\.items).map(\.source))
        for input in self.contents.inputs where !used.contains(input.uuid) {
            self.note("InputRemoved", Intent.inputs, self.said(input))
        }
        self.contents.inputs.removeAll { !used.contains($0.uuid) }
    }

    // MARK: scene collections

    var collections: [String] { (self.otherCollections.keys + [self.collection]).sorted() }

    mutating func createCollection(_ name: String) throws {
        guard !self.collections.contains(name) else {
            throw OBSRefusal(code: 601, comment: "A scene collection has that name.")
        }
        self.otherCollections[name] = Contents(scenes: ["Scene"])
        try self.switchCollection(name)
    }

    /// OBS tells of all that goes and comes between Changing and Changed, and then of wrong item ids: it numbers them anew, which
    /// the items themselves are not.
    mutating func switchCollection(_ name: String) throws {
        guard name != self.collection else { return }
        guard let next = self.otherCollections.removeValue(forKey: name) else {
            throw OBSRefusal(code: 600, comment: "No scene collection has that name.")
        }
        self.note("CurrentSceneCollectionChanging", Intent.config, ["sceneCollectionName": .string(self.collection)])
        self.sayAllRemoved()
        self.otherCollections[self.collection] = self.contents
        self.contents = next
        self.collection = name
        for input in next.inputs { self.note("InputCreated", Intent.inputs, self.creation(of: input)) }
        for scene in next.scenes {
            self.note("SceneCreated", Intent.scenes, self.said(scene).merging(["isGroup": false]) { $1 })
            for (index, item) in scene.items.enumerated() {
                let wrong: [String: JSON] = ["sceneItemId": .integer(Int64(index + 1))]
                self.note(
                    "SceneItemCreated", Intent.items, self.said(scene, item, index: index).merging(wrong) { $1 })
            }
        }
        if let shown = next.scenes.first(where: { $0.uuid == next.program }) {
            self.note("CurrentProgramSceneChanged", Intent.scenes, self.said(shown))
        }
        self.note("CurrentSceneCollectionChanged", Intent.config, ["sceneCollectionName": .string(name)])
    }

    mutating func sayExit() {
        self.sayAllRemoved()
        self.note("ExitStarted", Intent.general)
    }

    func creation(of input: Input) -> [String: JSON] {
        self.said(input).merging([
            "inputKind": .string(input.kind), "unversionedInputKind": .string(Self.unversioned(input.kind)),
            "inputSettings": .object(input.settings), "defaultInputSettings": [:],
        ]) { $1 }
    }

    /// `color_source_v3` is a `color_source`.
    static func unversioned(_ kind: String) -> String {
        guard let range = kind.range(of: "_v[0-9]+$", options: .regularExpression) else { return kind }
        return String(kind[..<range.lowerBound])
    }

    private mutating func sayAllRemoved() {
        for input in self.contents.inputs { self.note("InputRemoved", Intent.inputs, self.said(input)) }
        for scene in self.contents.scenes {
            self.note("SceneRemoved", Intent.scenes, self.said(scene).merging(["isGroup": false]) { $1 })
        }
    }
}
