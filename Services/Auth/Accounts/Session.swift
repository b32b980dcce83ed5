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
    /// The user's standing and tier when the session began; `nil` if that was not recorded.
    var begun: (standing: Standing, tier: Tier)?

    /// The user's standing now, within the one at the beginning; `nil` if there is none or the session has ended.
    var standing: Standing? {
        guard self.isOpen, let now = self.user.grant(in: self.tenant, station: self.station) else { return nil }
        return self.begun.map { now.narrowed(to: $0.standing) } ?? now
    }

    private var tier: Tier { min(self.user.tier, self.begun?.tier ?? self.user.tier) }

    /// Whom an access token of it is for.
    func principal(
        _ standing: Standing, _ scopes: Scopes, _ kind: CredentialKind, issued: Timestamp, expires: Timestamp
    ) -> Principal {
        Principal(
            subject: self.user.id, name: self.user.name, tenant: self.tenant, scopes: scopes,
            stations: standing.stations, credential: kind, credentialID: ULID(at: issued).text, issued: issued,
            expires: expires, tier: self.tier, client: self.client, session: self.id,
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
            SELECT s.user_id, s.client_id, s.tenant, s.station, s.scope, s.expires_at, s.stations, s.roles, s.tier,
                s.revoked_at IS NULL AND s.expires_at > now() AND c.revoked_at IS NULL
                    AND (c.expires_at IS NULL OR c.expires_at > now()) AS is_open
            FROM sessions s LEFT JOIN oauth_clients c ON c.id = s.client_id WHERE s.id = \(id)
            """)
        guard let row = rows.first, let record = try await UserRecord.find(try row.decode("user_id"), mutation) else {
            return nil
        }
        var session = Session(
            id: id, user: record.user, client: try row.decode("client_id"), tenant: try row.decode("tenant"),
            station: try row.decode("station"), scopes: Scopes(claim: try row.decode("scope")),
            expires: try row.decode("expires_at"), isOpen: try row.decode("is_open") && record.disabled == nil)
        if let roles = try row.decode("roles", as: [String]?.self) {
            let standing = Standing(
                tenant: session.tenant, scopes: session.scopes,
                stations: try row.decode("stations", as: [String]?.self).map(Set.init), roles: roles)
            session.begun = (standing, try row.decode("tier", as: String?.self).flatMap(Tier.init) ?? .free)
        }
        return session
    }
}

extension User {
    var tier: Tier { self.isOwner ? .enterprise : .free }
}

extension Standing {
    /// Returns what both allow. The tenant is the same.
    func narrowed(to other: Standing) -> Standing {
        let stations =
            if let own = self.stations { other.stations.map(own.intersection) ?? own } else { other.stations }
        let roles = [self, other].compactMap { $0.roles.compactMap(Role.init(rawValue:)).max() }
        let isPlatformAdmin = [self, other].allSatisfy { $0.roles.contains(Self.platformAdmin) }
        return Standing(
            tenant: self.tenant, scopes: self.scopes.narrowed(to: other.scopes), stations: stations,
            roles: (roles.min().map { [$0.rawValue] } ?? []) + (isPlatformAdmin ? [Self.platformAdmin] : []))
    }
}
