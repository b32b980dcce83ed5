import Access
import DomainService
import Events
import ForeignMessages
import HTTPTypes
import Hummingbird
import ServiceKit

/// Sources in the scenes of OBS: contract source-saver §10, *Scenes*.
struct ScenesAPI {
    let sources: Sources
    let target: OBSTarget
    let audit: CommandAudit

    func add(to router: Router<APIContext>) {
        for prefix in OBSTarget.scenePrefixes {
            let path = "\(prefix)/:sceneName/sources"
            router.get(RouterPath(path)) { try await self.list($1) }
            // A literal part of a path wins over a parameter.
            router.post(RouterPath("\(path)/bulk")) { try await self.addAll($0, $1) }
            router.delete(RouterPath("\(path)/bulk")) { try await self.removeAll($0, $1) }
            router.post(RouterPath("\(path)/:sourceId")) { try await self.add($0, $1) }
            router.delete(RouterPath("\(path)/:sourceId")) { try await self.remove($1) }
            router.put(RouterPath("\(path)/:sourceId/config")) { try await self.configure($0, $1) }
        }
    }

    @Sendable
    private func list(_ context: APIContext) async throws -> Response {
        let principal = try self.target.reader(context)
        let scene = try context.text("sceneName")
        let studio = try await self.target.studio(context, principal)
        let placements = try await studio.answering { try await $0.placements(in: scene) }
        let sources = try await self.sources.find(placements.map(\.source), tenant: principal.tenant)
        let listed = placements.compactMap { placement -> JSON? in
            guard let source = sources[placement.source] else { return nil }
            return [
                "id": .string(source.id), "name": .string(source.name), "url": .string(source.url),
                "isActive": .bool(source.isActive), "sceneConfig": placement.config.json,
                "addedAt": .string(placement.addedAt.iso8601),
            ]
        }
        return .json(
            [
                "sceneName": .string(scene), "sources": .array(listed), "totalSources": .integer(Int64(listed.count)),
            ] as JSON)
    }

    @Sendable
    private func add(_ request: Request, _ context: APIContext) async throws -> Response {
        try await self.authorize("scene.addSource", context)
        let draft = try await self.target.reading(context) {
            try Self.draft(try await request.decodeOptionalObject(context)["config"])
        }
        let (scene, id) = (try context.text("sceneName"), try context.placedSourceID)
        let placement = try await self.command(
            "scene.addSource", context,
            ["sceneName": .string(scene), "sourceId": .string(id), "config": draft.details]
        ) { principal in
            let source = try await self.sources.find(id, tenant: principal.tenant)
            let studio = try await self.target.studio(context, principal)
            return try await studio.answering { try await $0.place(source, in: scene, draft) }
        }
        return .json(
            [
                "success": true, "message": "Source added to scene successfully",
                "sceneSource": placement.json(with: ["addedAt": .string(placement.addedAt.iso8601)]),
            ] as JSON)
    }

    @Sendable
    private func remove(_ context: APIContext) async throws -> Response {
        try await self.authorize("scene.removeSource", context)
        let (scene, id) = (try context.text("sceneName"), try context.placedSourceID)
        let placement = try await self.command(
            "scene.removeSource", context, ["sceneName": .string(scene), "sourceId": .string(id)]
        ) { principal in
            _ = try await self.sources.find(id, tenant: principal.tenant)
            let studio = try await self.target.studio(context, principal)
            return try await studio.answering { try await $0.remove(id, from: scene) }
        }
        return .json(
            [
                "success": true, "message": "Source removed from scene successfully",
                "removedSource": [
                    "sceneName": .string(scene), "sourceId": .string(id), "sourceName": .string(placement.sourceName),
                    "removedAt": .string(Timestamp.now.iso8601),
                ],
            ] as JSON)
    }

    @Sendable
    private func configure(_ request: Request, _ context: APIContext) async throws -> Response {
        try await self.authorize("scene.configureSource", context)
        let draft = try await self.target.reading(context) { try await Self.configuration(request, context) }
        let (scene, id) = (try context.text("sceneName"), try context.placedSourceID)
        let placement = try await self.command(
            "scene.configureSource", context,
            ["sceneName": .string(scene), "sourceId": .string(id), "config": draft.details]
        ) { principal in
            _ = try await self.sources.find(id, tenant: principal.tenant)
            let studio = try await self.target.studio(context, principal)
            return try await studio.answering { try await $0.configure(id, in: scene, draft) }
        }
        return .json(
            [
                "success": true, "message": "Source configuration updated successfully",
                "sceneSource": placement.json(with: ["updatedAt": .string(placement.updatedAt.iso8601)]),
            ] as JSON)
    }

    // MARK: many at once

    @Sendable
    private func addAll(_ request: Request, _ context: APIContext) async throws -> Response {
        try await self.authorize("scene.addSources", context)
        let entries = try await self.target.reading(context) {
            let body = try await request.decodeObject(context)
            return try Self.entries(body["sources"], "sources") {
                entry throws(APIFailure) -> (id: String, draft: PlacementDraft)? in
                guard let id = entry["sourceId"]?.string else { return nil }
                return (id, try Self.draft(entry["config"]))
            }
        }
        let scene = try context.text("sceneName")
        return try await self.many("scene.addSources", context, scene, entries.map(\.id), count: "addedCount") {
            studio, principal, index in
            let source = try await self.sources.find(entries[index].id, tenant: principal.tenant)
            _ = try await studio.answering { try await $0.place(source, in: scene, entries[index].draft) }
            return "Source added to scene successfully"
        }
    }

    @Sendable
    private func removeAll(_ request: Request, _ context: APIContext) async throws -> Response {
        try await self.authorize("scene.removeSources", context)
        let ids = try await self.target.reading(context) {
            try Self.entries(try await request.decodeObject(context)["sourceIds"], "sourceIds") { $0.string }
        }
        let scene = try context.text("sceneName")
        return try await self.many("scene.removeSources", context, scene, ids, count: "removedCount") {
            studio, principal, index in
            _ = try await self.sources.find(ids[index], tenant: principal.tenant)
            _ = try await studio.answering { try await $0.remove(ids[index], from: scene) }
            return "Source removed from scene successfully"
        }
    }

    /// Does one after the other; what fails for one does not stop the others.
    private func many(
        _ command: String, _ context: APIContext, _ scene: String, _ ids: [String], count: String,
        _ body: @escaping @Sendable (Studio, Principal, Int) async throws -> String
    ) async throws -> Response {
        let details: JSON = ["sceneName": .string(scene), "sourceIds": .array(ids.map(JSON.string))]
        let results = try await self.command(command, context, details) { principal in
            let studio = try await self.target.studio(context, principal)
            // A scene that is not there is no source's fault.
            _ = try await studio.answering { try await $0.placements(in: scene) }
            var results: [(success: Bool, message: String)] = []
            for index in ids.indices {
                do {
                    results.append((true, try await body(studio, principal, index)))
                } catch let failure as APIFailure where failure.status != .serviceUnavailable {
                    results.append((false, failure.message))
                }
            }
            return results
        }
        let done = results.count { $0.success }
        let listed = zip(ids, results).map { id, result -> JSON in
            ["sourceId": .string(id), "success": .bool(result.success), "message": .string(result.message)]
        }
        return .json(
            JSON.object([
                "success": .bool(done == results.count),
                "message": .string("\(done) of \(results.count) sources processed"),
                "results": .array(listed), count: .integer(Int64(done)),
                "failedCount": .integer(Int64(results.count - done)),
            ]))
    }

    /// The entries of a list of 1 to 100. Throws 400.
    private static func entries<Entry>(
        _ value: JSON?, _ name: String, _ read: (JSON) throws(APIFailure) -> Entry?
    ) throws(APIFailure) -> [Entry] {
        guard let array = value?.array, (1...100).contains(array.count) else {
            throw APIFailure(.badRequest, "Validation failed: \(name) must be a list of 1 to 100 entries")
        }
        var entries: [Entry] = []
        for element in array {
            guard let entry = try read(element) else {
                throw APIFailure(.badRequest, "Validation failed: \(name) must name a source in each entry")
            }
            entries.append(entry)
        }
        return entries
    }

    /// The body of a placement's change.
    private static func configuration(_ request: Request, _ context: APIContext) async throws -> PlacementDraft {
        let body: [String: JSON]
        do {
            body = try await request.decodeObject(context)
        } catch let failure as APIFailure where failure.status == .badRequest {
            throw APIFailure(.badRequest, "Invalid configuration: \(failure.message)")
        }
        let draft = try PlacementDraft(body)
        if draft.isEmpty { throw APIFailure(.badRequest, "Invalid configuration: at least one field is required") }
        return draft
    }

    private static func draft(_ config: JSON?) throws(APIFailure) -> PlacementDraft {
        guard let config, config != .null else { return try PlacementDraft([:]) }
        guard let object = config.object else {
            throw APIFailure(.badRequest, "Invalid configuration: config must be an object")
        }
        return try PlacementDraft(object)
    }

    /// Throws 401 and 403, before the body is read.
    private func authorize(_ command: String, _ context: APIContext) async throws {
        try await self.audit.authorize(command, .obsSources, on: self.target.name(context), context)
    }

    private func command<R: Sendable>(
        _ name: String, _ context: APIContext, _ details: JSON, _ body: @Sendable (Principal) async throws -> R
    ) async throws -> R {
        try await self.audit.carryOut(name, .obsSources, on: self.target.name(context), context, details: details, body)
    }
}

extension Studio {
    /// Like `perform`, with failures as a client of the REST API sees them.
    nonisolated func answering<R: Sendable>(
        _ body: @escaping @Sendable (isolated Studio) async throws -> R
    ) async throws -> R {
        do {
            return try await self.perform(body)
        } catch let failure as OBSFailure {
            throw failure.apiFailure
        }
    }
}

extension PlacementConfig {
    fileprivate var json: JSON {
        var members = Dictionary(Self.fields.map { ($0.name, JSON.number(self[keyPath: $0.path])) }) { $1 }
        members["visible"] = .bool(self.visible)
        return .object(members)
    }
}

extension Placement {
    fileprivate func json(with more: [String: JSON]) -> JSON {
        var members: [String: JSON] = [
            "sceneName": .string(self.scene), "sourceId": .string(self.source), "sourceName": .string(self.sourceName),
            "config": self.config.json,
        ]
        members.merge(more) { $1 }
        return .object(members)
    }
}
