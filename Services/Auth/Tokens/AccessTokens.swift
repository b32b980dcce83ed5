import Database
import Events

/// Access tokens, opaque and signed. Each has a row, so that it can be found, listed and revoked.
struct AccessTokens: Sendable {
    enum Format: String, Sendable, Codable { case opaque, jwt }

    let keys: SigningKeys

    /// No access token is valid for longer; a revocation of "all tokens" is kept for this long.
    static let lifetimeMax = 30 * 86_400

    /// Issues a token for the principal, in the transaction that makes it known. The principal's `credentialID` and `expires` are
    /// the token's; its `credential` is what the format says.
    func issue(_ principal: Principal, as format: Format, _ mutation: Mutation) async throws -> String {
        let issued = Timestamp.now
        guard let expires = principal.expires else { preconditionFailure("an access token has an end") }
        let secret = format == .opaque ? Secret(.accessToken) : nil
        let kind: CredentialKind = format == .opaque ? .oauth2 : .jwt
        let scope = principal.scopes.claim
        let rooms = RoomLists(principal.limits)
        _ = try await mutation.query(
            """
            INSERT INTO access_tokens (id, hash, client_id, name, tenant, scope, \(RoomLists.columns), expires_at, kind, subject, session_id,
                                       origin, tier, roles)
            VALUES (\(principal.credentialID), \(secret?.hash), \(principal.client), \(principal.name), \(principal.tenant), \(scope),
                    \(rooms.stations), \(rooms.streams), \(rooms.cameras), \(rooms.obsConnections), \(expires), \(kind.rawValue), \(principal.subject),
                    \(principal.session), \(principal.origin), \(principal.tier.rawValue), \(principal.roles))
            """)
        if let secret { return secret.text }
        return try await self.keys.sign(principal, issued: issued, expires: expires, mutation)
    }

    /// Whom an opaque token belongs to; `nil`: it is unknown, ended or revoked by itself. Other revocations are not looked at.
    static func principal(hash: String, _ database: Database) async throws(DatabaseError) -> Principal? {
        let rows = try await database.query(
            """
            SELECT id, client_id, name, tenant, scope, \(RoomLists.columns), expires_at, created_at, subject, session_id,
                origin, tier, roles
            FROM access_tokens WHERE hash = \(hash) AND revoked_at IS NULL AND expires_at > now()
            """)
        guard let row = rows.first else { return nil }
        let (id, created) = (try row.decode("id", as: String.self), try row.decode("created_at", as: Timestamp.self))
        return Principal(
            subject: try row.decode("subject"), name: try row.decode("name"), tenant: try row.decode("tenant"),
            scopes: Scopes(claim: try row.decode("scope")),
            limits: try RoomLists(row).limits, credential: .oauth2,
            // By this process's clock, as revocations are; the database's may differ.
            credentialID: id, issued: ULID(text: id)?.time ?? created,
            expires: try row.decode("expires_at"), tier: Tier(rawValue: try row.decode("tier")) ?? .free,
            client: try row.decode("client_id"), session: try row.decode("session_id"),
            origin: try row.decode("origin"), roles: try row.decode("roles", as: [String]?.self))
    }

    /// Revokes one token, opaque or signed. `false`: there is none with that id that is valid and within the asker's authority.
    static func revoke(
        id: String, by authority: Authority, audit entry: AuditEntry, _ mutation: Mutation
    ) async throws -> Bool {
        let rows = try await mutation.query(
            """
            UPDATE access_tokens SET revoked_at = now()
            WHERE id = \(id) AND revoked_at IS NULL AND expires_at > now() AND \(authority.covers) RETURNING tenant, expires_at
            """)
        guard let row = rows.first else { return false }
        let revocation = CredentialRevoked(kind: .token, id: id, until: try row.decode("expires_at"))
        try await mutation.revoke(revocation, tenant: try row.decode("tenant"))
        try await mutation.audit(entry)
        return true
    }

    /// Removes those that ended a day ago: anyone can make as many as they like.
    static func forgetExpired(_ mutation: Mutation) async throws {
        _ = try await mutation.query("DELETE FROM access_tokens WHERE expires_at < now() - interval '1 day'")
    }
}
