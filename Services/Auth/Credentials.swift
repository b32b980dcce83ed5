import Access
import Database
import Events

/// Says whom a credential belongs to, from auth's own tables and keys.
struct Credentials: Sendable {
    let database: Database
    let keys: SigningKeys

    /// For auth's own API.
    @Sendable
    func verify(_ token: String, _ remoteAddress: String?) async throws(AccessError) -> Principal {
        if token.count(where: { $0 == "." }) == 2 { return try await self.keys.verify(token) }
        let principal: Principal?
        do {
            principal = try await self.introspect(token)
        } catch {
            throw .unavailable
        }
        guard let principal else { throw .invalid("unknown, expired or revoked") }
        return principal
    }

    /// `nil`: not valid. Throws `CommandFailure.unavailable` when the database cannot be asked.
    func introspect(_ token: String) async throws -> Principal? {
        let hash = Secret.hash(token)
        do {
            if token.hasPrefix(Secret.Prefix.accessToken.rawValue) { return try await self.accessToken(hash) }
            return try await self.apiKey(hash)
        } catch {
            throw CommandFailure(.unavailable, "\(error)")
        }
    }

    private func apiKey(_ hash: String) async throws(DatabaseError) -> Principal? {
        let rows = try await self.database.query(
            """
            SELECT id, name, tenant, subject, scope, stations, tier, expires_at FROM api_keys
            WHERE hash = \(hash) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
            """)
        guard let row = rows.first else { return nil }
        return Principal(
            subject: try row.decode("subject"), name: try row.decode("name"), tenant: try row.decode("tenant"),
            scopes: Scopes(claim: try row.decode("scope")),
            stations: try row.decode("stations", as: [String]?.self).map(Set.init), credential: .apiKey,
            credentialID: try row.decode("id"), expires: try row.decode("expires_at"),
            tier: Tier(rawValue: try row.decode("tier")) ?? .free)
    }

    private func accessToken(_ hash: String) async throws(DatabaseError) -> Principal? {
        let rows = try await self.database.query(
            """
            SELECT t.id, t.name, t.tenant, t.scope, t.stations, t.expires_at, coalesce(t.client_id, t.id) AS subject FROM access_tokens t
            LEFT JOIN oauth_clients c ON c.id = t.client_id
            WHERE t.hash = \(hash) AND t.revoked_at IS NULL AND c.revoked_at IS NULL AND t.expires_at > now()
            """)
        guard let row = rows.first else { return nil }
        return Principal(
            subject: try row.decode("subject"), name: try row.decode("name"), tenant: try row.decode("tenant"),
            scopes: Scopes(claim: try row.decode("scope")),
            stations: try row.decode("stations", as: [String]?.self).map(Set.init), credential: .oauth2,
            credentialID: try row.decode("id"), expires: try row.decode("expires_at"))
    }
}
