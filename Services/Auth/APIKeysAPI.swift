import Access
import Database
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// API keys (contract wave §10): made and shown once, listed, revoked. At `/v1/auth/keys` and `/api/v1/auth/keys`.
struct APIKeysAPI {
    let database: Database
    let writer: EventWriter

    /// What an asker needs; `*` implies it.
    static let scope: Scope = "keys:write"
    private static let daysMax = 365

    struct CreateBody: CredentialBody {
        static let members: Set = ["name", "scopes", "expires_in_days", "tier", "tenant", "stations"]

        var name: String
        var scopes: [String]
        var expires_in_days: Int?
        var tier: Tier?
        var tenant: String?
        var stations: [String]?
    }

    struct Created: Encodable {
        let id: String
        let key: String
        let name: String
        let scopes: [String]
        let expires_at: String?
        let created_at: String
    }

    struct List: Encodable {
        let data: [Listed]
        let pagination: Pagination
    }

    struct Pagination: Encodable {
        let next_cursor: String?
        let has_more: Bool

        /// With `next_cursor` even where there is none (contract wave §10).
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(self.next_cursor, forKey: .next_cursor)
            try container.encode(self.has_more, forKey: .has_more)
        }

        private enum CodingKeys: CodingKey { case next_cursor, has_more }
    }

    struct Listed: Encodable {
        let id: String
        let name: String
        let prefix: String
        let scopes: [String]
        let tier: String
        let expires_at: String?
        let created_at: String
        let revoked_at: String?
    }

    func add(to router: Router<APIContext>) {
        for path in ["/v1/auth/keys", "/api/v1/auth/keys"] {
            router.post(RouterPath(path)) { request, context in try await self.create(request, context) }
            router.get(RouterPath(path)) { request, context in try await self.list(request, context) }
            router.delete(RouterPath("\(path)/:id")) { _, context in try await self.revoke(context) }
        }
    }

    private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.require(Self.scope)
        let body = try await request.credentialBody(CreateBody.self, context)
        if let days = body.expires_in_days, !(1...Self.daysMax).contains(days) {
            throw APIFailure(
                .badRequest, "expires_in_days must be from 1 to \(Self.daysMax)", details: ["field": "expires_in_days"])
        }
        let seconds = body.expires_in_days.map { $0 * 86_400 }
        let grant = try Grant(
            for: asker, tenant: body.tenant, scope: body.scopes.joined(separator: " "), stations: body.stations,
            timeToLive: seconds, standard: nil, range: 1...Self.daysMax * 86_400)
        let tier = body.tier ?? asker.tier
        guard tier == asker.tier || asker.scopes.contains(.authAdmin) else {
            throw APIFailure(.forbidden, "Another tier needs the scope auth:admin", details: ["field": "tier"])
        }
        let record = APIKeyRecord(
            id: ULID().text, name: try body.name.requireName(field: "name"), subject: asker.subject, grant: grant,
            tier: tier)
        let key = Secret(.waveKey)
        try await record.insert(key, self.writer)
        let created = Created(
            id: record.id, key: key.text, name: record.name, scopes: grant.scopes.all.map(\.name).sorted(),
            expires_at: grant.expires?.iso8601, created_at: Timestamp.now.iso8601)
        return Response.secret(created)
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.require(Self.scope)
        let query = request.uri.queryParameters
        let limit = query["limit"].map { Int($0) ?? 0 } ?? 20
        guard (1...100).contains(limit) else {
            throw APIFailure(.badRequest, "limit must be from 1 to 100", details: ["field": "limit"])
        }
        let cursor = query["cursor"].map(String.init)
        guard cursor.map(Grant.isName) ?? true else {
            throw APIFailure(.badRequest, "cursor is not valid", details: ["field": "cursor"])
        }
        let tenant = query["tenant"].map(String.init) ?? asker.tenant
        guard tenant == asker.tenant || asker.scopes.contains(.authAdmin) else {
            throw APIFailure(.forbidden, "Another tenant needs the scope auth:admin", details: ["field": "tenant"])
        }
        guard Grant.isName(tenant) else {
            throw APIFailure(.badRequest, "tenant is not valid", details: ["field": "tenant"])
        }
        let rows = try await self.database.query(
            """
            SELECT id, name, prefix, scope, tier, expires_at, created_at, revoked_at FROM api_keys
            WHERE tenant = \(tenant) AND \(Authority(asker).covers) AND (\(cursor)::text IS NULL OR id > \(cursor)::text)
            ORDER BY id LIMIT \(limit + 1)
            """)
        let keys = try rows.prefix(limit).map { row in
            Listed(
                id: try row.decode("id"), name: try row.decode("name"), prefix: try row.decode("prefix"),
                scopes: Scopes(claim: try row.decode("scope")).all.map(\.name).sorted(), tier: try row.decode("tier"),
                expires_at: try row.decode("expires_at", as: Timestamp?.self)?.iso8601,
                created_at: try row.decode("created_at", as: Timestamp.self).iso8601,
                revoked_at: try row.decode("revoked_at", as: Timestamp?.self)?.iso8601)
        }
        let next = rows.count > limit ? keys.last?.id : nil
        return Response.json(List(data: keys, pagination: Pagination(next_cursor: next, has_more: next != nil)))
    }

    private func revoke(_ context: APIContext) async throws -> Response {
        let asker = try context.require(Self.scope)
        let id = try context.parameters.require("id")
        let isRevoked = try await self.writer.revoke(.apiKeys, id: id, by: Authority(asker))
        guard isRevoked else { throw APIFailure(.notFound, "No such key, or it is revoked already") }
        return Response(status: .noContent)
    }
}
