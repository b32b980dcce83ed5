internal import Events

/// What a fake OBS does when it is asked.
extension FakeOBSModel {
    /// A request's data, read as obs-websocket reads them.
    struct Fields {
        let data: [String: JSON]

        func string(_ key: String) throws -> String {
            let value = try self.value(key, \.string)
            if value.isEmpty { throw OBSRefusal(code: 403, comment: "The field value of `\(key)` must not be empty.") }
            return value
        }

        func bool(_ key: String) throws -> Bool { try self.value(key, \.bool) }
        func object(_ key: String) throws -> [String: JSON] { try self.value(key, \.object) }

        func whole(_ key: String, in range: ClosedRange<Int> = 0...Int.max) throws -> Int {
            let value = try self.value(key, \.double)
            guard let whole = Int(exactly: value), range.contains(whole) else {
                throw OBSRefusal(code: 402, comment: "The field value of `\(key)` is out of range.")
            }
            return whole
        }

        func optional<Value>(_ key: String, _ read: (String) throws -> Value) throws -> Value? {
            (self.data[key] ?? .null) == .null ? nil : try read(key)
        }

        private func value<Value>(_ key: String, _ read: (JSON) -> Value?) throws -> Value {
            guard let field = self.data[key], field != .null else {
                throw OBSRefusal(code: 300, comment: "Your request is missing the `\(key)` field.")
            }
            guard let value = read(field) else {
                throw OBSRefusal(code: 401, comment: "The field value of `\(key)` has the wrong type.")
            }
            return value
        }
    }

    typealias Request = @Sendable (inout FakeOBSModel, Fields) throws -> [String: JSON]

    /// By their names, in groups as in the protocol's own document.
    static let requests: [String: Request] = [Self.general, Self.scenes, Self.inputs, Self.items, Self.outputs]
        .reduce(into: [:]) { $0.merge($1) { $1 } }

    mutating func answer(_ type: String, _ data: JSON) throws -> [String: JSON] {
        if type.isEmpty { throw OBSRefusal(code: 203, comment: "Your request is missing the `requestType` field.") }
        guard let request = Self.requests[type] else {
            throw OBSRefusal(code: 204, comment: "Your request type is not valid.")
        }
        guard let members = data.object else { throw OBSRefusal(code: 401, comment: "Your data are no object.") }
        return try request(&self, Fields(data: members))
    }

    private static let general: [String: Request] = [
        "GetVersion": { model, _ in
            [
                "obsVersion": .string(model.settings.obsVersion), "rpcVersion": 1,
                "obsWebSocketVersion": .string(model.settings.websocketVersion), "platform": "debian",
                "availableRequests": .array(Self.requests.keys.sorted().map { .string($0) }),
                "supportedImageFormats": ["png", "jpg"], "platformDescription": "Debian GNU/Linux 12",
            ]
        },
        "GetStats": { _, _ in
            [
                "cpuUsage": 1.5, "memoryUsage": 200.5, "availableDiskSpace": 10000.5, "activeFps": 30,
                "averageFrameRenderTime": 2.5, "renderSkippedFrames": 0, "renderTotalFrames": 1000,
                "outputSkippedFrames": 0, "outputTotalFrames": 0, "webSocketSessionIncomingMessages": 1,
                "webSocketSessionOutgoingMessages": 1,
            ]
        },
        "GetVideoSettings": { _, _ in
            [
                "fpsNumerator": 30, "fpsDenominator": 1, "baseWidth": 1920, "baseHeight": 1080, "outputWidth": 1280,
                "outputHeight": 720,
            ]
        },
        "GetSourceScreenshot": { model, fields in
            _ = try model.source(fields)
            return ["imageData": "data:image/png;base64,iVBORw0KGgo="]
        },
        "GetSceneCollectionList": { model, _ in
            [
                "currentSceneCollectionName": .string(model.collection),
                "sceneCollections": .array(model.collections.map { .string($0) }),
            ]
        },
        "SetCurrentSceneCollection": { model, fields in
            try model.switchCollection(try fields.string("sceneCollectionName"))
            return [:]
        },
        "CreateSceneCollection": { model, fields in
            try model.createCollection(try fields.string("sceneCollectionName"))
            return [:]
        },
        "GetStudioModeEnabled": { model, _ in ["studioModeEnabled": .bool(model.isStudioMode)] },
        "SetStudioModeEnabled": { model, fields in
            let isOn = try fields.bool("studioModeEnabled")
            if isOn != model.isStudioMode {
                model.isStudioMode = isOn
                model.note("StudioModeStateChanged", Intent.ui, ["studioModeEnabled": .bool(isOn)])
            }
            return [:]
        },
    ]

    private static let scenes: [String: Request] = [
        "GetSceneList": { model, _ in
            let shown = model.programScene
            let preview: (JSON, JSON) =
                model.isStudioMode ? (.string(shown.name), .string(shown.uuid)) : (.null, .null)
            return [
                "currentProgramSceneName": .string(shown.name), "currentProgramSceneUuid": .string(shown.uuid),
                "currentPreviewSceneName": preview.0, "currentPreviewSceneUuid": preview.1,
                "scenes": model.saidScenes,
            ]
        },
        "GetCurrentProgramScene": { model, _ in
            let shown = model.programScene
            return model.said(shown).merging([
                "currentProgramSceneName": .string(shown.name), "currentProgramSceneUuid": .string(shown.uuid),
            ]) { $1 }
        },
        "SetCurrentProgramScene": { model, fields in
            model.show(try model.scene(fields))
            return [:]
        },
        "CreateScene": { model, fields in
            let name = try fields.string("sceneName")
            try model.checkFree(name)
            let scene = Scene(name: name)
            model.contents.scenes.append(scene)
            model.note("SceneCreated", Intent.scenes, model.said(scene).merging(["isGroup": false]) { $1 })
            model.note("SceneListChanged", Intent.scenes, ["scenes": model.saidScenes])
            return ["sceneUuid": .string(scene.uuid)]
        },
        "RemoveScene": { model, fields in
            try model.removeScene(try model.scene(fields))
            return [:]
        },
        "SetSceneName": { model, fields in
            let scene = try model.scene(fields)
            let name = try fields.string("newSceneName")
            try model.checkFree(name)
            let old = model.contents.scenes[scene].name
            model.contents.scenes[scene].name = name
            let now = model.said(model.contents.scenes[scene])
            model.note("SceneNameChanged", Intent.scenes, now.merging(["oldSceneName": .string(old)]) { $1 })
            return [:]
        },
    ]

    private static let outputs: [String: Request] = [
        "GetStreamStatus": { model, _ in
            [
                "outputActive": .bool(model.isStreaming), "outputReconnecting": false, "outputDuration": 0,
                "outputTimecode": "00:00:00.000", "outputCongestion": 0, "outputBytes": 0, "outputSkippedFrames": 0,
                "outputTotalFrames": 0,
            ]
        },
        "StartStream": { model, _ in try model.setStream(true) },
        "StopStream": { model, _ in try model.setStream(false) },
        "ToggleStream": { model, _ in
            _ = try model.setStream(!model.isStreaming)
            return ["outputActive": .bool(model.isStreaming)]
        },
        "GetRecordStatus": { model, _ in
            [
                "outputActive": .bool(model.isRecording), "outputPaused": false, "outputDuration": 0, "outputBytes": 0,
                "outputTimecode": "00:00:00.000",
            ]
        },
        "StartRecord": { model, _ in
            try model.setRecord(true)
            return [:]
        },
        "StopRecord": { model, _ in
            try model.setRecord(false)
            return ["outputPath": Self.recording]
        },
    ]

    private static let recording: JSON = "/tmp/fake-recording.mkv"

    private mutating func setStream(_ isOn: Bool) throws -> [String: JSON] {
        try Self.checkChange(of: self.isStreaming, to: isOn)
        for (state, isActive) in Self.steps(to: isOn) {
            self.note("StreamStateChanged", Intent.outputs, ["outputActive": .bool(isActive), "outputState": state])
        }
        self.isStreaming = isOn
        return [:]
    }

    private mutating func setRecord(_ isOn: Bool) throws {
        try Self.checkChange(of: self.isRecording, to: isOn)
        for ((state, isActive), path) in zip(Self.steps(to: isOn), [.null, Self.recording]) {
            self.note(
                "RecordStateChanged", Intent.outputs,
                ["outputActive": .bool(isActive), "outputState": state, "outputPath": path])
        }
        self.isRecording = isOn
    }

    private static func checkChange(of isOn: Bool, to wanted: Bool) throws {
        guard isOn == wanted else { return }
        throw OBSRefusal(code: isOn ? 500 : 501, comment: isOn ? "The output runs." : "The output does not run.")
    }

    private static func steps(to isOn: Bool) -> [(JSON, Bool)] {
        isOn
            ? [("OBS_WEBSOCKET_OUTPUT_STARTING", false), ("OBS_WEBSOCKET_OUTPUT_STARTED", true)]
            : [("OBS_WEBSOCKET_OUTPUT_STOPPING", false), ("OBS_WEBSOCKET_OUTPUT_STOPPED", false)]
    }

    private var programScene: Scene {
        self.contents.scenes.first { $0.uuid == self.contents.program } ?? self.contents.scenes[0]
    }
}
