import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Source Saver's sources over HTTP: contract source-saver §10, *Sources*.
struct SourcesAPI {
    let sources: Sources

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
        let principal = try context.require(.obsRead)
        let query = request.uri.queryParameters
        let limit = try query.number("limit", Self.limits, default: 100)
        let offset = try query.number("offset", 0...Int.max, default: 0)
        let active = try query.flag("active")
        let page = try await self.sources.list(tenant: principal.tenant, active: active, limit: limit, offset: offset)
        return .json(SourceList(sources: page.sources, total: page.total, limit: limit, offset: offset))
    }

    @Sendable
    private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources)
        let draft = try SourceDraft(try await request.decodeObject(context))
        return .json(try await self.sources.create(draft, tenant: principal.tenant), status: .created)
    }

    @Sendable
    private func read(_ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsRead)
        return .json(
            SourceWithMetrics(source: try await self.sources.find(try context.sourceID, tenant: principal.tenant)))
    }

    @Sendable
    private func update(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources)
        // An unknown source is 404 whatever the body says.
        _ = try await self.sources.find(try context.sourceID, tenant: principal.tenant)
        let draft = try SourceDraft(try await request.decodeObject(context))
        try draft.requireAnyField()
        return .json(try await self.sources.update(try context.sourceID, draft, tenant: principal.tenant))
    }

    @Sendable
    private func delete(_ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources)
        let source = try await self.sources.delete(try context.sourceID, tenant: principal.tenant)
        return .json(
            [
                "success": true, "message": "Source deleted successfully",
                "deletedSource": ["id": .string(source.id), "name": .string(source.name)],
            ] as JSON)
    }

    @Sendable
    private func activate(_ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources)
        let source = try await self.sources.activate(try context.sourceID, tenant: principal.tenant)
        return .json(
            [
                "id": .string(source.id), "name": .string(source.name), "isActive": true,
                "activatedAt": .string(source.updatedAt.iso8601), "status": "loading",
            ] as JSON)
    }

    @Sendable
    private func deactivate(_ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsSources)
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

    /// Without a link to OBS nobody measures sources, so there are no samples.
    @Sendable
    private func performance(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.obsRead)
        _ = try request.uri.queryParameters.number("hours", Self.hours, default: 24)
        let source = try await self.sources.find(try context.sourceID, tenant: principal.tenant)
        return .json(
            [
                "sourceId": .string(source.id), "sourceName": .string(source.name), "metrics": [],
                "summary": [
                    "averageCpuUsage": nil, "averageMemoryUsage": nil, "averageRenderTime": nil, "averageFps": nil,
                    "dataPoints": 0,
                ],
            ] as JSON)
    }
}

private struct SourceList: Encodable {
    var sources: [Source]
    var total: Int
    var limit: Int
    var offset: Int
}

/// A source with `performanceMetrics`, whose members are `null` while nobody measures.
private struct SourceWithMetrics: Encodable {
    var source: Source

    private enum CodingKeys: String, CodingKey { case performanceMetrics }

    func encode(to encoder: any Encoder) throws {
        try self.source.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        let metrics: JSON = ["cpuUsage": nil, "memoryUsage": nil, "renderTime": nil, "lastUpdated": nil]
        try container.encode(metrics, forKey: .performanceMetrics)
    }
}

extension APIContext {
    fileprivate var sourceID: String { get throws { try self.parameters.require("id") } }
}

extension Parameters {
    fileprivate func number(_ name: String, _ range: ClosedRange<Int>, default value: Int) throws(APIFailure) -> Int {
        guard let text = self[name[...]] else { return value }
        guard let number = Int(text), range.contains(number) else {
            let bounds =
                range.upperBound == Int.max
                ? "\(range.lowerBound) or more" : "between \(range.lowerBound) and \(range.upperBound)"
            throw APIFailure(.badRequest, "Validation failed: \(name) must be \(bounds)")
        }
        return number
    }

    fileprivate func flag(_ name: String) throws(APIFailure) -> Bool? {
        guard let text = self[name[...]] else { return nil }
        guard let flag = Bool(String(text)) else {
            throw APIFailure(.badRequest, "Validation failed: \(name) must be true or false")
        }
        return flag
    }
}
