import Access
import Database
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `POST /v1/tokens`: one usable credential of any kind, for the owner and for tests. `DELETE /v1/tokens/{id}`: revokes one.
struct TokensAPI {
    let database: Database
    let writer: EventWriter
    let tokens: AccessTokens

    private struct Body: CredentialBody {
        static let members: Set<String> = Set(RoomLists.fields.values).union([
            "type", "tenant", "scope", "ttl_seconds", "name", "tier",
        ])

        /// `jwt`, `oauth2` (an opaque access token) or `apikey`.
        var type: String
        var tenant: String?
        var scope: String?
        var ttl_seconds: Int?
        var name: String?
        var stations: [String]?
        var streams: [String]?
        var cameras: [String]?
        var obs_connections: [String]?
        var tier: Tier?

        var rooms: RoomLists {
            RoomLists(
                stations: self.stations, streams: self.streams, cameras: self.cameras,
                obsConnections: self.obs_connections)
        }
    }

    private struct Answer: Encodable {
        let id: String
        let token: String
        let type: String
        let tenant: String
        let scope: String
        let expires_at: String?
    }

    private static let lifetime = 1...AccessTokens.lifetimeMax

    func add(to router: Router<APIContext>) {
        router.post("/v1/tokens") { request, context in try await self.issue(request, context) }
        router.delete("/v1/tokens/:id") { _, context in try await self.revoke(context) }
    }

    private func issue(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.require(.authAdmin, on: .channel)
        let body = try await request.credentialBody(Body.self, context)
        guard let kind = CredentialKind(rawValue: body.type), kind != .anonymous else {
            throw APIFailure(.badRequest, "type must be jwt, oauth2 or apikey", details: ["field": "type"])
        }
        let grant = try Grant(
            for: asker, tenant: body.tenant, scope: body.scope, rooms: body.rooms,
            timeToLive: body.ttl_seconds, standard: 3600, range: Self.lifetime,
            until: try await asker.latestEnd(self.database))
        let name = try (body.name ?? asker.name).requireName(field: "name")
        let id = ULID().text
        let principal = Principal(
            subject: asker.subject, name: name, tenant: grant.tenant, scopes: grant.scopes,
            limits: grant.limits, credential: kind, credentialID: id, issued: .now,
            expires: grant.expires, tier: body.tier ?? asker.tier, client: asker.client, origin: asker.lineage)
        try asker.requireCoverage(of: principal)
        let entry = AuditEntry(
            kind == .apiKey ? "key.create" : "token.issue", by: context, tenant: grant.tenant, target: id)
        let token = try await self.writer.write(for: asker) { mutation in
            try await mutation.ensureChannel(grant.tenant)
            try await mutation.audit(entry)
            return try await self.make(kind, principal, grant, mutation)
        }
        return Response.secret(
            Answer(
                id: id, token: token, type: kind.rawValue, tenant: grant.tenant, scope: grant.scopes.claim,
                expires_at: grant.expires?.iso8601))
    }

    private func make(
        _ kind: CredentialKind, _ principal: Principal, _ grant: Grant, _ mutation: Mutation
    ) async throws -> String {
        guard kind == .apiKey else {
            return try await self.tokens.issue(principal, as: kind == .jwt ? .jwt : .opaque, mutation)
        }
        let key = Secret(.apiKey)
        let record = APIKeyRecord(
            id: principal.credentialID, name: principal.name, subject: principal.subject, grant: grant,
            tier: principal.tier, client: principal.client, origin: principal.origin)
        try await record.insert(key, mutation)
        return key.text
    }

    private func revoke(_ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(APIKeysAPI.scope)
        let id = try context.requireName("id")
        let entry = AuditEntry("token.revoke", by: context, target: id)
        let isRevoked = try await self.writer.write(for: asker) { mutation in
            if try await AccessTokens.revoke(id: id, by: Authority(asker), audit: entry, mutation) { return true }
            // `POST` makes API keys too.
            var ofKey = entry
            ofKey.action = "key.revoke"
            return try await mutation.revokeKeys("id = \(id) AND \(Authority(asker).covers)", audit: ofKey) == 1
        }
        guard isRevoked else { throw APIFailure(.notFound, "No such token, or it has ended") }
        return Response(status: .noContent)
    }
}
