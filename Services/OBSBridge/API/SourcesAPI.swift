import Access
import DomainService
import Events
import ForeignMessages
import HTTPTypes
import Hummingbird
import ServiceKit

/// Source Saver's sources over HTTP: contract source-saver §10, *Sources*.
struct SourcesAPI {
    let sources: Sources
    let samples: Samples
    let keepers: ConnectionKeepers

    private static let limits = 1...1000
    private static let hours = 1...168

    func add(to router: Router<APIContext>) {
        router.get("/api/sources") { try await self.list($0, $1) }
        router.post("/api/sources") { try await self.create($0, $1) }
        router.get("/api/sources/:id") { try await self.read($1) }
        router.put("/api/sources/:id") { try await self.update($0, $1) }
        router.delete("/api/sources/:id") { try await self.delete($1) }
        router.post("/api/sources/:id/activate") { try await self.activate($1) }
        router.post("/api/sources/:id/deactivate") { try await self.deactivate($1) }
        router.get("/api/sources/:id/performance") { try await self.performance($0, $1) }
    }

    @Sendable
    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsRead, on: .channel)
        let query = request.uri.queryParameters
        let limit = try query.number("limit", Self.limits, default: 100)
        let offset = try query.number("offset", 0...Int.max, default: 0)
        let active = try query.flag("active")
        let page = try await self.sources.list(tenant: principal.tenant, active: active, limit: limit, offset: offset)
        return .json(SourceList(sources: page.sources, total: page.total, limit: limit, offset: offset))
    }

    @Sendable
    private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources, on: .channel)
        let draft = try SourceDraft(try await request.decodeObject(context))
        return .json(try await self.sources.create(draft, tenant: principal.tenant), status: .created)
    }

    @Sendable
    private func read(_ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsRead, on: .channel)
        let source = try await self.sources.find(try context.sourceID, tenant: principal.tenant)
        return .json(SourceWithMetrics(source: source, sample: try await self.samples.latest(source.id)))
    }

    @Sendable
    private func update(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources, on: .channel)
        // An unknown source is 404 whatever the body says.
        let old = try await self.sources.find(try context.sourceID, tenant: principal.tenant)
        let draft = try SourceDraft(try await request.decodeObject(context))
        try draft.requireAnyField()
        if draft.isActive == true { try await self.requireInput(try context.sourceID, principal) }
        let source = try await self.sources.update(try context.sourceID, draft, tenant: principal.tenant)
        if source.name != old.name { try await self.renameInputs(of: old, to: source.name, principal) }
        await self.show(source, principal, isFresh: draft.isActive == true)
        return .json(source)
    }

    /// Where no OBS is connected, its input gets the name when it connects next.
    private func renameInputs(of source: Source, to name: String, _ principal: Principal) async throws {
        let connected = self.keepers.studios(tenant: principal.tenant).map(\.connection.id)
        try await self.sources.renameInputs(of: source.id, from: source.name, to: name, besides: connected)
    }

    /// Brings a source's inputs up to date in every OBS that is connected.
    private func show(_ source: Source, _ principal: Principal, isFresh: Bool) async {
        for studio in self.keepers.studios(tenant: principal.tenant) {
            // `try?`: it is stored, and the OBS gets it when it connects next.
            try? await studio.perform { try await $0.update(source, isFresh: isFresh) }
        }
    }

    /// Throws 409 if an OBS is connected that cannot show the source. One that is in an OBS already, or has none, can be activated.
    private func requireInput(_ id: String, _ principal: Principal) async throws {
        let source = try await self.sources.find(id, tenant: principal.tenant)
        if source.isActive { return }
        for studio in self.keepers.studios(tenant: principal.tenant)
        where studio.connection.name == OBSConnection.defaultName {
            let missing = try await studio.answering { studio -> String? in
                guard studio.inputs[id] == nil, studio.input() == nil else { return nil }
                let failure = OBSFailure.missingPlugin(studio.connection)
                try await studio.report(.activationFailed, failure, source: id)
                return failure
            }
            if let missing { throw APIFailure(.conflict, "Cannot activate source: \(missing)") }
        }
    }

    @Sendable
    private func delete(_ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources, on: .channel)
        let source = try await self.sources.delete(try context.sourceID, tenant: principal.tenant)
        for studio in self.keepers.studios(tenant: principal.tenant) {
            // `try?`: that it is gone is stored, and the OBS loses it when it connects next.
            try? await studio.perform { try await $0.forget(source.id) }
        }
        return .json(
            [
                "success": true, "message": "Source deleted successfully",
                "deletedSource": ["id": .string(source.id), "name": .string(source.name)],
            ] as JSON)
    }

    @Sendable
    private func activate(_ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources, on: .channel)
        try await self.requireInput(try context.sourceID, principal)
        let source = try await self.sources.activate(try context.sourceID, tenant: principal.tenant)
        await self.show(source, principal, isFresh: true)
        return .json(
            [
                "id": .string(source.id), "name": .string(source.name), "isActive": true,
                "activatedAt": .string(source.updatedAt.iso8601), "status": "loading",
            ] as JSON)
    }

    @Sendable
    private func deactivate(_ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources, on: .channel)
        let source = try await self.sources.deactivate(try context.sourceID, tenant: principal.tenant)
        return .json(
            [
                "success": true, "message": "Source deactivated successfully",
                "source": [
                    "id": .string(source.id), "name": .string(source.name), "isActive": false,
                    "deactivatedAt": .string(source.updatedAt.iso8601),
                ],
            ] as JSON)
    }

    @Sendable
    private func performance(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsRead, on: .channel)
        let hours = try request.uri.queryParameters.number("hours", Self.hours, default: 24)
        let source = try await self.sources.find(try context.sourceID, tenant: principal.tenant)
        return .json(Performance(source: source, metrics: try await self.samples.list(source.id, hours: hours)))
    }
}

private struct SourceList: Encodable {
    var sources: [Source]
    var total: Int
    var limit: Int
    var offset: Int
}

/// A source with `performanceMetrics`, whose members are `null` while there is no sample.
private struct SourceWithMetrics: Encodable {
    var source: Source
    var sample: Samples.Sample?

    private enum CodingKeys: String, CodingKey { case performanceMetrics }

    func encode(to encoder: any Encoder) throws {
        try self.source.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        let metrics: JSON = [
            "cpuUsage": JSON(self.sample?.cpuUsage), "memoryUsage": JSON(self.sample?.memoryUsage),
            "renderTime": JSON(self.sample?.renderTime), "lastUpdated": JSON(self.sample?.timestamp),
        ]
        try container.encode(metrics, forKey: .performanceMetrics)
    }
}

/// The samples of a source, the newest first, and their averages (`null` without any).
private struct Performance: Encodable {
    var sourceId: String
    var sourceName: String
    var metrics: [Samples.Sample]
    var summary: JSON

    init(source: Source, metrics: [Samples.Sample]) {
        self.sourceId = source.id
        self.sourceName = source.name
        self.metrics = metrics
        func average(_ value: KeyPath<Samples.Sample, Double>) -> JSON {
            guard !metrics.isEmpty else { return nil }
            let sum = metrics.reduce(0) { $0 + $1[keyPath: value] }
            return .number((sum / Double(metrics.count) * 100).rounded() / 100)
        }
        self.summary = [
            "averageCpuUsage": average(\.cpuUsage), "averageMemoryUsage": average(\.memoryUsage),
            "averageRenderTime": average(\.renderTime), "averageFps": average(\.fps),
            "dataPoints": .integer(Int64(metrics.count)),
        ]
    }
}

extension APIContext {
    fileprivate var sourceID: String { get throws { try self.parameters.require("id") } }
}
