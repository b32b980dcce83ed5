import Database
import Events

/// A sign-in or an authorization as it is stored: the family of its refresh tokens.
struct Session: Sendable {
    let id: String
    /// As they are now.
    let user: User
    let client: String?
    let tenant: String
    let station: String?
    /// What it was begun with.
    let scopes: Scopes
    let expires: Timestamp
    /// Whether it can go on: neither it nor its user nor its client has ended.
    var isOpen = true

    /// What the user may do there now; `nil`: nothing, or it has ended.
    var standing: Standing? { self.isOpen ? self.user.grant(in: self.tenant, station: self.station) : nil }

    /// Whom an access token of it is for.
    func principal(
        _ standing: Standing, _ scopes: Scopes, _ kind: CredentialKind, issued: Timestamp, expires: Timestamp
    ) -> Principal {
        Principal(
            subject: self.user.id, name: self.user.name, tenant: self.tenant, scopes: scopes,
            stations: standing.stations, credential: kind, credentialID: ULID(at: issued).text, issued: issued,
            expires: expires, tier: self.user.isOwner ? .enterprise : .free, client: self.client, session: self.id,
            roles: standing.roles)
    }

    func entry(_ action: String, _ address: String) -> AuditEntry {
        AuditEntry(action, tenant: self.tenant, actor: self.user.id, address: address, target: self.id)
    }

    /// Whose refresh token has that hash, and whether it was used.
    static func find(token hash: String, _ mutation: Mutation) async throws -> (session: Session, isUsed: Bool)? {
        let rows = try await mutation.query(
            "SELECT session_id, used_at IS NOT NULL AS is_used FROM refresh_tokens WHERE hash = \(hash)")
        guard let row = rows.first, let session = try await Self.find(try row.decode("session_id"), mutation) else {
            return nil
        }
        return (session, try row.decode("is_used"))
    }

    static func find(_ id: String, _ mutation: Mutation) async throws -> Session? {
        let rows = try await mutation.query(
            """
            SELECT s.user_id, s.client_id, s.tenant, s.station, s.scope, s.expires_at,
                s.revoked_at IS NULL AND s.expires_at > now() AND c.revoked_at IS NULL AS is_open
            FROM sessions s LEFT JOIN oauth_clients c ON c.id = s.client_id WHERE s.id = \(id)
            """)
        guard let row = rows.first, let record = try await UserRecord.find(try row.decode("user_id"), mutation) else {
            return nil
        }
        return Session(
            id: id, user: record.user, client: try row.decode("client_id"), tenant: try row.decode("tenant"),
            station: try row.decode("station"), scopes: Scopes(claim: try row.decode("scope")),
            expires: try row.decode("expires_at"), isOpen: try row.decode("is_open") && record.disabled == nil)
    }
}
