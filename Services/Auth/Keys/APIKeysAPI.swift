import Access
import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// API keys (contract wave §10): made and shown once, listed, rotated, revoked. At `/v1/auth/keys` and `/api/v1/auth/keys`.
struct APIKeysAPI {
    let database: Database
    let writer: EventWriter

    /// What an asker needs; `*` implies it.
    static let scope: Scope = "keys:write"

    private struct Created: Encodable {
        let id: String
        let key: String
        let name: String
        let scopes: [String]
        let expires_at: String?
        let created_at: String
    }

    func add(to router: Router<APIContext>) {
        for path in ["/v1/auth/keys", "/api/v1/auth/keys"] {
            router.post(RouterPath(path)) { request, context in try await self.create(request, context) }
            router.get(RouterPath(path)) { request, context in try await self.list(request, context) }
            router.get(RouterPath("\(path)/:id")) { _, context in try await self.show(context) }
            router.delete(RouterPath("\(path)/:id")) { _, context in try await self.revoke(context) }
            router.post(RouterPath("\(path)/:id/rotate")) { request, context in
                try await KeyRotation(database: self.database, writer: self.writer).answer(request, context)
            }
        }
    }

    private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(Self.scope)
        let body = try await request.credentialBody(APIKeyBody.self, context)
        let record = try body.record(for: asker, until: try await asker.latestEnd(self.database))
        let key = Secret((body.kind ?? .wave).prefix)
        let entry = AuditEntry("key.create", by: context, tenant: record.grant.tenant, target: record.id)
        try await self.writer.write(for: asker) { mutation in
            try await mutation.ensureChannel(record.grant.tenant)
            try await record.insert(key, mutation)
            try await mutation.audit(entry)
        }
        let created = Created(
            id: record.id, key: key.text, name: record.name, scopes: record.grant.scopes.all.map(\.name).sorted(),
            expires_at: record.grant.expires?.iso8601, created_at: Timestamp.now.iso8601)
        return Response.secret(created)
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(Self.scope)
        let page = try Page(request)
        let tenant = try Authority(asker).tenant(of: request)
        let rows = try await self.database.query(
            """
            SELECT \(APIKeyListed.columns) FROM api_keys
            WHERE tenant = \(tenant) AND \(Authority(asker).covers)
                AND (\(page.cursor)::text IS NULL OR id > \(page.cursor)::text)
            ORDER BY id LIMIT \(page.limit + 1)
            """)
        return page.answer(try rows.map { row throws(DatabaseError) in try APIKeyListed(row) }) { $0.id }
    }

    private func show(_ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(Self.scope)
        let id = try context.requireName("id")
        let rows = try await self.database.query(
            "SELECT \(APIKeyListed.columns) FROM api_keys WHERE id = \(id) AND \(Authority(asker).covers)")
        guard let row = rows.first else { throw APIFailure(.notFound, "No such key") }
        return Response.json(try APIKeyListed(row))
    }

    private func revoke(_ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(Self.scope)
        let id = try context.requireName("id")
        let entry = AuditEntry("key.revoke", by: context, target: id)
        let isRevoked = try await self.writer.write(for: asker) { mutation in
            try await mutation.revokeKeys(
                "id = \(id) AND \(Authority(asker).covers)", audit: entry) == 1
        }
        guard isRevoked else { throw APIFailure(.notFound, "No such key, or it is revoked already") }
        return Response(status: .noContent)
    }
}

extension Mutation {
    /// Revokes the valid API keys that a condition on `api_keys` names, and the tokens that were made with them. Returns how many keys.
    @discardableResult
    func revokeKeys(_ condition: Query, audit entry: AuditEntry) async throws -> Int {
        let rows = try await self.query(
            """
            UPDATE api_keys SET revoked_at = now() WHERE revoked_at IS NULL AND (\(condition))
            RETURNING id, tenant
            """)
        for row in rows {
            let (id, tenant) = (try row.decode("id", as: String.self), try row.decode("tenant", as: String.self))
            _ = try await self.query(
                "UPDATE access_tokens SET revoked_at = now() WHERE origin = \(id) AND revoked_at IS NULL")
            // The key's row says that it is revoked; signed tokens that were made with it are valid for so long.
            let until = Timestamp.now + .seconds(AccessTokens.lifetimeMax)
            try await self.revoke(CredentialRevoked(kind: .apiKey, id: id, until: until), tenant: tenant)
            var entry = entry
            (entry.target, entry.tenant) = (id, tenant)
            try await self.audit(entry)
        }
        return rows.count
    }

    /// Revokes what was made with the credentials of a session that was stolen, and with whatever they made: API keys, and clients that
    /// get tokens in their own name.
    func revokeMade(in session: String, audit entry: AuditEntry) async throws {
        let made = try await self.query(
            """
            WITH RECURSIVE made (id) AS (
                SELECT \(session)::text
                UNION
                SELECT child.id FROM made JOIN (
                    SELECT id, origin FROM api_keys UNION ALL SELECT id, origin FROM oauth_clients
                ) AS child ON child.origin = made.id
            )
            SELECT id FROM made
            """)
        let ids = try made.map { row throws(DatabaseError) in try row.decode("id", as: String.self) }
        var ofKey = entry
        (ofKey.action, ofKey.reason) = ("key.revoke", "session \(session)")
        try await self.revokeKeys("id = ANY (\(ids))", audit: ofKey)
        var ofClient = entry
        (ofClient.action, ofClient.reason) = ("client.revoke", "session \(session)")
        try await self.revokeClients("id = ANY (\(ids)) AND \(OAuth2Client.actsForItself)", audit: ofClient)
    }

    /// Makes a tenant known that an administrator names for the first time.
    func ensureChannel(_ id: String) async throws {
        _ = try await self.query("INSERT INTO channels (id, name) VALUES (\(id), \(id)) ON CONFLICT DO NOTHING")
    }
}

extension APIContext {
    /// A parameter of the path that is an id. Throws 404: Postgres takes no text with a NUL, and would say so as a fault of ours.
    func requireName(_ parameter: String) throws -> String {
        let name = try self.parameters.require(parameter)
        guard Grant.isName(name) else { throw APIFailure(.notFound, "There is nothing with that id") }
        return name
    }
}
