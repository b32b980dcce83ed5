internal import Events

/// Inputs, and scenes' items.
extension FakeOBSModel {
    static let inputs: [String: Request] = [
        "GetInputList": { model, fields in
            let kind = try fields.optional("inputKind", fields.string)
            let inputs = model.contents.inputs.filter { kind == nil || $0.kind == kind }
            return [
                "inputs": .array(
                    inputs.map { input in
                        .object(model.creation(of: input).filter { !$0.key.hasSuffix("Settings") })
                    })
            ]
        },
        "GetInputKindList": { model, fields in
            let kinds = model.settings.kinds
            let isPlain = try fields.optional("unversioned", fields.bool) ?? false
            return ["inputKinds": .array((isPlain ? kinds.map(Self.unversioned) : kinds).map { .string($0) })]
        },
        "CreateInput": { model, fields in try model.createInput(fields) },
        "RemoveInput": { model, fields in
            model.removeInput(try model.input(fields))
            return [:]
        },
        "SetInputName": { model, fields in
            let input = try model.input(fields)
            let name = try fields.string("newInputName")
            try model.checkFree(name)
            let old = model.contents.inputs[input].name
            model.contents.inputs[input].name = name
            let now = model.said(model.contents.inputs[input])
            model.note("InputNameChanged", Intent.inputs, now.merging(["oldInputName": .string(old)]) { $1 })
            return [:]
        },
        "GetInputSettings": { model, fields in
            let input = model.contents.inputs[try model.input(fields)]
            return ["inputSettings": .object(input.settings), "inputKind": .string(input.kind)]
        },
        "SetInputSettings": { model, fields in
            let input = try model.input(fields)
            let settings = try fields.object("inputSettings")
            let isOverlay = try fields.optional("overlay", fields.bool) ?? true
            let old = isOverlay ? model.contents.inputs[input].settings : [:]
            model.contents.inputs[input].settings = old.merging(settings) { $1 }
            let now = model.contents.inputs[input]
            if model.tellsSettings {
                let data = model.said(now).merging(["inputSettings": .object(now.settings)]) { $1 }
                model.note("InputSettingsChanged", Intent.inputs, data)
            }
            return [:]
        },
        "GetInputMute": { model, fields in
            ["inputMuted": .bool(model.contents.inputs[try model.input(fields)].isMuted)]
        },
        "SetInputMute": { model, fields in
            let input = try model.input(fields)
            model.contents.inputs[input].isMuted = try fields.bool("inputMuted")
            let now = model.contents.inputs[input]
            let data = model.said(now).merging(["inputMuted": .bool(now.isMuted)]) { $1 }
            model.note("InputMuteStateChanged", Intent.inputs, data)
            return [:]
        },
        "PressInputPropertiesButton": { model, fields in
            _ = try model.input(fields)
            _ = try fields.string("propertyName")
            return [:]
        },
    ]

    static let items: [String: Request] = [
        "GetSceneItemList": { model, fields in
            let scene = model.contents.scenes[try model.scene(fields)]
            return ["sceneItems": .array(scene.items.enumerated().map { model.listed($0.element, index: $0.offset) })]
        },
        "GetSceneItemId": { model, fields in
            let scene = model.contents.scenes[try model.scene(fields)]
            let source = try fields.string("sourceName")
            let items = scene.items.filter { model.name(of: $0) == source }
            let offset = try fields.optional("searchOffset") { try fields.whole($0, in: -1...Int.max) } ?? 0
            guard let item = offset < 0 ? items.last : items.dropFirst(offset).first else {
                throw OBSRefusal(code: 600, comment: "No scene items were found in the scene by that name.")
            }
            return ["sceneItemId": .integer(Int64(item.id))]
        },
        "CreateSceneItem": { model, fields in
            let scene = try model.scene(fields)
            let source = try model.source(fields)
            let isEnabled = try fields.optional("sceneItemEnabled", fields.bool) ?? true
            return ["sceneItemId": .integer(Int64(model.addItem(scene, source: source, isEnabled: isEnabled)))]
        },
        "RemoveSceneItem": { model, fields in
            let (scene, item) = try model.item(fields)
            model.removeItem(scene, item)
            return [:]
        },
        "SetSceneItemEnabled": { model, fields in
            let (scene, item) = try model.item(fields)
            let isEnabled = try fields.bool("sceneItemEnabled")
            if model.contents.scenes[scene].items[item].isEnabled != isEnabled {
                model.contents.scenes[scene].items[item].isEnabled = isEnabled
                model.noteItem("SceneItemEnableStateChanged", scene, item, ["sceneItemEnabled": .bool(isEnabled)])
            }
            return [:]
        },
        "GetSceneItemTransform": { model, fields in
            let (scene, item) = try model.item(fields)
            return ["sceneItemTransform": .object(model.contents.scenes[scene].items[item].transform)]
        },
        "SetSceneItemTransform": { model, fields in
            let (scene, item) = try model.item(fields)
            let changes = try fields.object("sceneItemTransform")
            try FakeOBSTransform.apply(changes, to: &model.contents.scenes[scene].items[item].transform)
            let now = JSON.object(model.contents.scenes[scene].items[item].transform)
            model.noteItem(
                "SceneItemTransformChanged", intent: Intent.transform, scene, item, ["sceneItemTransform": now])
            return [:]
        },
        "SetSceneItemIndex": { model, fields in
            let (scene, item) = try model.item(fields)
            let index = try fields.whole("sceneItemIndex", in: 0...8192)
            let moved = model.contents.scenes[scene].items.remove(at: item)
            let items = model.contents.scenes[scene].items
            model.contents.scenes[scene].items.insert(moved, at: min(index, items.count))
            model.noteOrder(scene)
            return [:]
        },
    ]

    private mutating func createInput(_ fields: Fields) throws -> [String: JSON] {
        let scene = try self.scene(fields)
        let name = try fields.string("inputName")
        let kind = try fields.string("inputKind")
        try self.checkFree(name)
        guard self.settings.kinds.contains(kind) else {
            throw OBSRefusal(code: 605, comment: "Your specified input kind is not supported by OBS.")
        }
        let settings = try fields.optional("inputSettings", fields.object) ?? [:]
        let isEnabled = try fields.optional("sceneItemEnabled", fields.bool) ?? true
        let input = Input(name: name, kind: kind, settings: settings)
        self.contents.inputs.append(input)
        self.note("InputCreated", Intent.inputs, self.creation(of: input))
        let item = self.addItem(scene, source: input.uuid, isEnabled: isEnabled)
        return ["inputUuid": .string(input.uuid), "sceneItemId": .integer(Int64(item))]
    }

    private func listed(_ item: Item, index: Int) -> JSON {
        let input = self.contents.inputs.first { $0.uuid == item.source }
        return [
            "sceneItemId": .integer(Int64(item.id)), "sceneItemIndex": .integer(Int64(index)),
            "sceneItemEnabled": .bool(item.isEnabled), "sceneItemLocked": .bool(item.isLocked),
            "sceneItemTransform": .object(item.transform), "sceneItemBlendMode": "OBS_BLEND_NORMAL",
            "sourceName": .string(self.name(of: item)), "sourceUuid": .string(item.source),
            "sourceType": input == nil ? "OBS_SOURCE_TYPE_SCENE" : "OBS_SOURCE_TYPE_INPUT",
            "inputKind": input.map { .string($0.kind) } ?? .null, "isGroup": input == nil ? false : .null,
        ]
    }

    private mutating func noteItem(
        _ type: String, intent: Int = Intent.items, _ scene: Int, _ item: Int, _ fields: [String: JSON]
    ) {
        let scene = self.contents.scenes[scene]
        let id: [String: JSON] = ["sceneItemId": .integer(Int64(scene.items[item].id))]
        self.note(type, intent, self.said(scene).merging(id) { $1 }.merging(fields) { $1 })
    }

    private mutating func noteOrder(_ scene: Int) {
        let scene = self.contents.scenes[scene]
        let order = scene.items.enumerated().map { index, item in
            JSON.object(["sceneItemId": .integer(Int64(item.id)), "sceneItemIndex": .integer(Int64(index))])
        }
        self.note(
            "SceneItemListReindexed", Intent.items, self.said(scene).merging(["sceneItems": .array(order)]) { $1 })
    }

    // MARK: what a request means

    func scene(_ fields: Fields) throws -> Int {
        let index = try self.find("scene", fields, self.contents.scenes, \.uuid, \.name)
        if let index { return index }
        let isInput = self.contents.inputs.contains { .string($0.name) == fields.data["sceneName"] }
        throw isInput
            ? OBSRefusal(code: 602, comment: "The specified source is not a scene.")
            : Self.notFound(fields.data["sceneName"])
    }

    func input(_ fields: Fields) throws -> Int {
        let index = try self.find("input", fields, self.contents.inputs, \.uuid, \.name)
        if let index { return index }
        throw Self.notFound(fields.data["inputName"])
    }

    /// The uuid of an input or a scene.
    func source(_ fields: Fields) throws -> String {
        if let input = try self.find("source", fields, self.contents.inputs, \.uuid, \.name) {
            return self.contents.inputs[input].uuid
        }
        if let scene = try self.find("source", fields, self.contents.scenes, \.uuid, \.name) {
            return self.contents.scenes[scene].uuid
        }
        throw Self.notFound(fields.data["sourceName"])
    }

    private func item(_ fields: Fields) throws -> (scene: Int, item: Int) {
        let scene = try self.scene(fields)
        let id = try fields.whole("sceneItemId")
        guard let item = self.contents.scenes[scene].items.firstIndex(where: { $0.id == id }) else {
            throw OBSRefusal(code: 600, comment: "No scene items were found in that scene with the ID `\(id)`.")
        }
        return (scene, item)
    }

    /// The uuid goes before the name, where this version has uuids.
    private func find<Thing>(
        _ what: String, _ fields: Fields, _ things: [Thing], _ uuid: (Thing) -> String, _ name: (Thing) -> String
    ) throws -> Int? {
        if self.hasUUIDs, let wanted = try fields.optional("\(what)Uuid", fields.string) {
            return things.firstIndex { uuid($0) == wanted }
        }
        let wanted = try fields.string("\(what)Name")
        return things.firstIndex { name($0) == wanted }
    }

    private static func notFound(_ name: JSON?) -> OBSRefusal {
        OBSRefusal(code: 600, comment: "No source was found by the name of `\(name?.string ?? "")`.")
    }
}
