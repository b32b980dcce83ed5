import Access
import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `/v1/oauth2/clients`: OAuth2 clients made, listed and revoked.
struct ClientsAPI {
    let database: Database
    let writer: EventWriter

    private struct Shown: Encodable {
        let client_id: String
        var client_secret: String?
        let name: String
        let type: OAuth2Client.Kind
        let scope: String
        let tenant: String
        let stations: [String]?
        let grants: [GrantType]
        let redirect_uris: [String]
        let token_format: AccessTokens.Format
        let created_by: String?
        let created_at: String
        let expires_at: String?
        let revoked_at: String?

        init(
            _ client: OAuth2Client, secret: String? = nil, maker: String?, created: Timestamp, revoked: Timestamp? = nil
        ) {
            self.client_id = client.id
            self.client_secret = secret
            self.name = client.name
            self.type = client.kind
            self.scope = client.scopes.claim
            self.tenant = client.tenant
            self.stations = client.stations?.sorted()
            self.grants = GrantType.allCases.filter(client.grants.contains)
            self.redirect_uris = client.redirectURIs
            self.token_format = client.format
            self.created_by = maker
            self.created_at = created.iso8601
            self.expires_at = client.expires?.iso8601
            self.revoked_at = revoked?.iso8601
        }

        init(_ row: Row) throws(DatabaseError) {
            self.init(
                try OAuth2Client(row), maker: try row.decode("created_by"), created: try row.decode("created_at"),
                revoked: try row.decode("revoked_at"))
        }
    }

    func add(to router: Router<APIContext>) {
        router.post("/v1/oauth2/clients") { request, context in try await self.create(request, context) }
        router.get("/v1/oauth2/clients") { request, context in try await self.list(request, context) }
        router.get("/v1/oauth2/clients/:id") { _, context in try await self.show(context) }
        router.delete("/v1/oauth2/clients/:id") { _, context in try await self.revoke(context) }
    }

    private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(APIKeysAPI.scope)
        let body = try await request.credentialBody(ClientBody.self, context)
        let secret = body.type == .public ? nil : Secret(.clientSecret)
        let client = try body.client(
            for: asker, secretHash: secret?.hash, until: try await asker.latestEnd(self.database))
        let entry = AuditEntry("client.create", by: context, tenant: client.tenant, target: client.id)
        try await self.writer.write(for: asker) { mutation in
            try await mutation.ensureChannel(client.tenant)
            _ = try await mutation.query(
                """
                INSERT INTO oauth_clients (id, secret_hash, name, tenant, scope, stations, redirect_uris, grants, token_format,
                                           created_by, client_id, expires_at, origin)
                VALUES (\(client.id), \(client.secretHash), \(client.name), \(client.tenant), \(client.scopes.claim),
                        \(client.stations?.sorted()), \(client.redirectURIs), \(client.grants.map(\.rawValue).sorted()),
                        \(client.format.rawValue), \(asker.subject), \(asker.client), \(client.expires),
                        \(asker.lineage))
                """)
            try await mutation.audit(entry)
        }
        return Response.secret(Shown(client, secret: secret?.text, maker: asker.subject, created: .now))
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(APIKeysAPI.scope)
        let page = try Page(request)
        let tenant = try Authority(asker).tenant(of: request)
        let rows = try await self.database.query(
            """
            SELECT \(OAuth2Client.columns) FROM oauth_clients
            WHERE tenant = \(tenant) AND \(Authority(asker).coversClients)
                AND (\(page.cursor)::text IS NULL OR id > \(page.cursor)::text)
            ORDER BY id LIMIT \(page.limit + 1)
            """)
        return page.answer(try rows.map { row throws(DatabaseError) in try Shown(row) }) { $0.client_id }
    }

    private func show(_ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(APIKeysAPI.scope)
        let id = try context.requireName("id")
        let rows = try await self.database.query(
            "SELECT \(OAuth2Client.columns) FROM oauth_clients WHERE id = \(id) AND \(Authority(asker).coversClients)")
        guard let row = rows.first else { throw APIFailure(.notFound, "No such client") }
        return Response.json(try Shown(row))
    }

    private func revoke(_ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(APIKeysAPI.scope)
        let id = try context.requireName("id")
        let entry = AuditEntry("client.revoke", by: context, target: id)
        let isRevoked = try await self.writer.write(for: asker) { mutation in
            try await mutation.revokeClient(id, by: Authority(asker), audit: entry)
        }
        guard isRevoked else { throw APIFailure(.notFound, "No such client, or it is revoked already") }
        return Response(status: .noContent)
    }
}

extension Mutation {
    /// Revokes a client and all that came from it. `false`: there is none with that id that is valid and within the asker's authority.
    func revokeClient(_ id: String, by authority: Authority, audit entry: AuditEntry) async throws -> Bool {
        try await self.revokeClients("id = \(id) AND \(authority.coversClients)", audit: entry) == 1
    }

    /// Revokes the valid clients that a condition on `oauth_clients` names, and all that came from them: sessions, access tokens, codes,
    /// the API keys that they made, and the clients that they made. Returns how many the condition named.
    @discardableResult
    func revokeClients(_ condition: Query, audit entry: AuditEntry) async throws -> Int {
        let rows = try await self.query(
            """
            UPDATE oauth_clients SET revoked_at = now() WHERE revoked_at IS NULL AND (\(condition)) RETURNING id, tenant
            """)
        for row in rows {
            var entry = entry
            let id = try row.decode("id", as: String.self)
            (entry.target, entry.tenant) = (id, try row.decode("tenant", as: String.self))
            try await self.endClient(id, entry)
        }
        return rows.count
    }

    private func endClient(_ id: String, _ entry: AuditEntry) async throws {
        // Nothing is issued to it from now on, so this can be forgotten once its last token has ended.
        let until = Timestamp.now + .seconds(AccessTokens.lifetimeMax)
        try await self.revoke(
            CredentialRevoked(kind: .client, id: id, until: until), tenant: entry.tenant ?? Principal.defaultTenant)
        try await self.audit(entry)
        try await self.endIssued(to: id, entry)
        var keys = entry
        (keys.action, keys.reason) = ("key.revoke", "client \(id)")
        try await self.revokeKeys("client_id = \(id) OR subject = \(id)", audit: keys)
        var clients = entry
        clients.reason = "client \(id)"
        try await self.revokeClients(
            "(client_id = \(id) OR created_by = \(id)) AND \(OAuth2Client.actsForItself)", audit: clients)
    }

    /// The one revocation of the client ends all of these wherever they are shown; here they are marked, and written down.
    private func endIssued(to id: String, _ entry: AuditEntry) async throws {
        _ = try await self.query("DELETE FROM authorization_codes WHERE client_id = \(id)")
        let sessions = try await self.query(
            "UPDATE sessions SET revoked_at = now() WHERE client_id = \(id) AND revoked_at IS NULL RETURNING id, tenant"
        )
        for session in sessions {
            var ended = entry
            (ended.action, ended.reason) = ("session.revoke", "client \(id)")
            (ended.target, ended.tenant) = (try session.decode("id"), try session.decode("tenant"))
            try await self.audit(ended)
        }
        let tokens = try await self.query(
            """
            UPDATE access_tokens SET revoked_at = now()
            WHERE client_id = \(id) AND revoked_at IS NULL AND expires_at > now() RETURNING id
            """)
        guard !tokens.isEmpty else { return }
        var ended = entry
        (ended.action, ended.reason) = ("token.revoke", "all \(tokens.count) of the client")
        try await self.audit(ended)
    }
}
