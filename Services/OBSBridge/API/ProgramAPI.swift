import Access
import DomainService
import Events
import ForeignMessages
import HTTPTypes
import Hummingbird
import ServiceKit

/// What OBS shows: contract source-saver §10, *OBS*, scenes to stats, and studio mode.
struct ProgramAPI {
    let target: OBSTarget
    let audit: CommandAudit

    func add(to router: Router<APIContext>) {
        for prefix in OBSTarget.prefixes {
            router.get(RouterPath("\(prefix)/scenes")) { try await self.scenes($1) }
            router.get(RouterPath("\(prefix)/current-scene")) { try await self.currentScene($1) }
            router.post(RouterPath("\(prefix)/current-scene")) { try await self.showScene($0, $1) }
            router.get(RouterPath("\(prefix)/stats")) { try await self.stats($1) }
            router.get(RouterPath("\(prefix)/studio-mode")) { try await self.studioMode($1) }
            router.post(RouterPath("\(prefix)/studio-mode")) { try await self.setStudioMode($0, $1) }
            router.post(RouterPath("\(prefix)/preview-scene")) { try await self.previewScene($0, $1) }
            router.post(RouterPath("\(prefix)/transition")) { try await self.transition($0, $1) }
        }
    }

    @Sendable
    private func scenes(_ context: APIContext) async throws -> Response {
        let link = try await self.readableLink(context)
        return try await OBSFailure.answering {
            let (current, scenes) = try await Self.read(link)
            let listed = scenes.map { scene -> JSON in
                let sources = scene.items.map { item -> JSON in
                    [
                        "sourceName": .string(item.sourceName), "sourceType": JSON(item.kind ?? "scene"),
                        "visible": .bool(item.isEnabled),
                    ]
                }
                return [
                    "sceneName": .string(scene.name), "sceneIndex": .integer(Int64(scene.index)),
                    "sources": .array(sources),
                ]
            }
            return .json(["scenes": .array(listed), "currentScene": .string(current)] as JSON)
        }
    }

    @Sendable
    private func currentScene(_ context: APIContext) async throws -> Response {
        let link = try await self.readableLink(context)
        return try await OBSFailure.answering {
            let (current, scenes) = try await Self.read(link)
            let scene = scenes.first { $0.name == current }
            let sources = (scene?.items ?? []).map { item -> JSON in
                func number(_ name: String) -> JSON { .number(item.transform[name]?.double ?? 0) }
                return [
                    "sourceName": .string(item.sourceName), "sourceType": JSON(item.kind ?? "scene"),
                    "visible": .bool(item.isEnabled),
                    "transform": [
                        "x": number("positionX"), "y": number("positionY"), "width": number("width"),
                        "height": number("height"), "scaleX": number("scaleX"), "scaleY": number("scaleY"),
                        "rotation": number("rotation"),
                    ],
                ]
            }
            return .json(
                [
                    "sceneName": .string(current), "sceneIndex": .integer(Int64(scene?.index ?? 0)),
                    "sources": .array(sources),
                ] as JSON)
        }
    }

    /// The scenes with their items, and which is on program.
    private static func read(_ link: OBSLink) async throws(OBSFailure) -> (current: String, [StudioSnapshot.Scene]) {
        let list = try await link.request("GetSceneList")
        var scenes = (list["scenes"]?.array ?? []).compactMap(StudioSnapshot.Scene.init)
        try await link.readItems(of: &scenes)
        return (list["currentProgramSceneName"]?.string ?? "", scenes)
    }

    @Sendable
    private func showScene(_ request: Request, _ context: APIContext) async throws -> Response {
        try await self.authorize("scene.show", context)
        let scene = try await self.target.reading(context) {
            try Self.sceneName(Members(try await request.decodeObject(context)))
        }
        let previous = try await self.command("scene.show", context, ["sceneName": .string(scene)]) { link in
            let previous = try await link.programScene()
            do throws(OBSFailure) {
                try await link.request("SetCurrentProgramScene", ["sceneName": .string(scene)])
            } catch {
                throw error.told([OBSAnswer.notFound: .notInOBS("Scene", scene)])
            }
            try await link.awaitProgramScene(scene)
            return previous
        }
        return Self.showed(scene, previous, "Scene changed successfully")
    }

    private static func showed(_ scene: String, _ previous: String, _ message: String) -> Response {
        .json(
            [
                "success": true, "message": .string(message), "previousScene": .string(previous),
                "currentScene": .string(scene),
            ] as JSON)
    }

    @Sendable
    private func stats(_ context: APIContext) async throws -> Response {
        let link = try await self.readableLink(context)
        return try await OBSFailure.answering {
            guard let stats = OBSStats(try await link.request("GetStats")) else {
                throw APIFailure(.internalServerError, "OBS did not say how it fares")
            }
            return .json(StatsAnswer(stats: stats.payload, timestamp: stats.measuredAt.iso8601))
        }
    }

    // MARK: studio mode

    @Sendable
    private func studioMode(_ context: APIContext) async throws -> Response {
        let link = try await self.readableLink(context)
        return try await OBSFailure.answering {
            let list = try await link.request("GetSceneList")
            let isEnabled = try await link.request("GetStudioModeEnabled")["studioModeEnabled"]?.bool ?? false
            return .json(
                [
                    "enabled": .bool(isEnabled), "previewScene": JSON(list["currentPreviewSceneName"]?.string),
                ] as JSON)
        }
    }

    @Sendable
    private func setStudioMode(_ request: Request, _ context: APIContext) async throws -> Response {
        try await self.authorize("studioMode.set", context)
        let wanted = try await self.target.reading(context) {
            let members = Members(try await request.decodeObject(context))
            try members.requireOnly(["enabled"], "is not known here")
            return try members.require("enabled", try members.bool("enabled"))
        }
        let isEnabled = try await self.command("studioMode.set", context, ["enabled": .bool(wanted)]) { link in
            try await link.request("SetStudioModeEnabled", ["studioModeEnabled": .bool(wanted)])
            return try await link.request("GetStudioModeEnabled")["studioModeEnabled"]?.bool ?? false
        }
        return .json(
            [
                "success": .bool(isEnabled == wanted), "message": .string("Studio mode is \(isEnabled ? "on" : "off")"),
                "enabled": .bool(isEnabled),
            ] as JSON)
    }

    @Sendable
    private func previewScene(_ request: Request, _ context: APIContext) async throws -> Response {
        try await self.authorize("scene.preview", context)
        let scene = try await self.target.reading(context) {
            let members = Members(try await request.decodeObject(context))
            try members.requireOnly(["sceneName"], "is not known here")
            return try Self.sceneName(members)
        }
        let shown = try await self.command("scene.preview", context, ["sceneName": .string(scene)]) { link in
            do throws(OBSFailure) {
                try await link.request("SetCurrentPreviewScene", ["sceneName": .string(scene)])
            } catch {
                throw error.told([
                    OBSAnswer.notFound: .notInOBS("Scene", scene), 506: APIFailure(.conflict, "Studio mode is off"),
                ])
            }
            return try await link.previewScene(once: scene)
        }
        return .json(
            [
                "success": .bool(shown == scene), "message": "Preview scene changed successfully",
                "previewScene": JSON(shown),
            ] as JSON)
    }

    /// Brings the preview scene to program.
    @Sendable
    private func transition(_ request: Request, _ context: APIContext) async throws -> Response {
        try await self.authorize("scene.transition", context)
        let members = Members(try await request.decodeOptionalObject(context))
        try members.requireOnly(["transition", "duration"], "is not known here")
        let name = try members.text("transition", 1...255)
        let duration = try members.integer("duration", 50...20_000, "milliseconds")
        let details: JSON = ["transition": JSON(name), "duration": duration.map { .integer(Int64($0)) } ?? .null]
        let (scene, previous) = try await self.command("scene.transition", context, details) { link in
            let list = try await link.request("GetSceneList")
            guard let preview = list["currentPreviewSceneName"]?.string else {
                throw APIFailure(.conflict, "Studio mode is off")
            }
            if let name {
                try await link.request("SetCurrentSceneTransition", ["transitionName": .string(name)])
            }
            if let duration {
                try await link.request(
                    "SetCurrentSceneTransitionDuration", ["transitionDuration": .integer(Int64(duration))])
            }
            try await link.request("TriggerStudioModeTransition")
            try await link.awaitProgramScene(preview, within: .seconds(5) + .milliseconds(duration ?? 0))
            await link.awaitTransitionEnd(within: .seconds(5) + .milliseconds(duration ?? 0))
            return (preview, list["currentProgramSceneName"]?.string ?? "")
        }
        return Self.showed(scene, previous, "Transition done")
    }

    private static func sceneName(_ members: Members) throws(APIFailure) -> String {
        do throws(APIFailure) {
            return try members.require("sceneName", try members.text("sceneName", 1...1000))
        } catch {
            throw APIFailure(.badRequest, "Validation failed: \(error.message)")
        }
    }

    private func readableLink(_ context: APIContext) async throws -> OBSLink {
        try await self.target.studio(context, try self.target.reader(context)).link
    }

    /// Throws 401 and 403, before the body is read.
    private func authorize(_ command: String, _ context: APIContext) async throws {
        try await self.audit.authorize(command, .obsScene, on: self.target.name(context), context)
    }

    private func command<R: Sendable>(
        _ name: String, _ context: APIContext, _ details: JSON, _ body: @Sendable (OBSLink) async throws -> R
    ) async throws -> R {
        try await self.audit.carryOut(name, .obsScene, on: self.target.name(context), context, details: details) {
            principal in
            let link = try await self.target.studio(context, principal).link
            return try await OBSFailure.answering { try await body(link) }
        }
    }
}

private struct StatsAnswer: Encodable {
    var stats: OBSStatsUpdate.Stats
    var timestamp: String
}

extension OBSFailure {
    /// Runs `body`, with failures as a client of the REST API sees them.
    static func answering<R>(_ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch let failure as OBSFailure {
            throw failure.apiFailure
        }
    }
}

extension OBSLink {
    func programScene() async throws(OBSFailure) -> String {
        try await self.request("GetSceneList")["currentProgramSceneName"]?.string ?? ""
    }

    /// The scene in the preview, once it is that one: a busy OBS takes the request before it follows it. Another one when it does not come.
    func previewScene(once scene: String) async throws -> String? {
        let deadline = ContinuousClock.now + .seconds(5)
        while true {
            let preview = try await self.request("GetSceneList")["currentPreviewSceneName"]?.string
            if preview == scene || ContinuousClock.now >= deadline { return preview }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Waits until no transition runs any more: only then OBS puts the former program scene into the preview.
    func awaitTransitionEnd(within time: Duration) async {
        let deadline = ContinuousClock.now + time
        // `try?`: an OBS that does not say how far it is has nothing to wait for.
        while let answer = try? await self.request("GetCurrentSceneTransitionCursor"),
            let cursor = answer["transitionCursor"]?.double, cursor < 1, ContinuousClock.now < deadline
        {
            // OBS tells of some transitions' end only. `try?`: cancelled, nobody waits any more.
            guard (try? await Task.sleep(for: .milliseconds(50))) != nil else { return }
        }
    }

    /// Waits until OBS shows a scene: transitions take their time. Throws 500 when it does not come.
    func awaitProgramScene(_ scene: String, within time: Duration = .seconds(5)) async throws {
        let deadline = ContinuousClock.now + time
        while try await self.programScene() != scene {
            guard ContinuousClock.now < deadline else {
                throw APIFailure(.internalServerError, "OBS does not show the scene '\(scene.prefix(200))'")
            }
            // What OBS tells may have come before anybody waited for it.
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
