import Database
import Events
import ServiceKit

/// An API key as it is stored: everything but the key.
struct APIKeyRecord: Sendable {
    var id: String
    var name: String
    /// Whoever made it.
    var subject: String
    var grant: Grant
    var tier: Tier
    /// Where it may be used from; `nil`: anywhere.
    var allowedAddresses: [String]?
    /// The OAuth2 client that made it.
    var client: String?
    /// The session or API key whose credential made it; see `Mutation.revokeMade(in:audit:)`.
    var origin: String?

    func insert(_ key: Secret, _ mutation: Mutation) async throws {
        let rooms = RoomLists(self.grant.limits)
        _ = try await mutation.query(
            """
            INSERT INTO api_keys (id, hash, prefix, name, tenant, subject, scope, \(RoomLists.columns), tier, expires_at,
                                  allowed_ips, client_id, origin)
            VALUES (\(self.id), \(key.hash), \(key.shownPrefix), \(self.name), \(self.grant.tenant), \(self.subject),
                    \(self.grant.scopes.claim), \(rooms.stations), \(rooms.streams), \(rooms.cameras),
                    \(rooms.obsConnections), \(self.tier.rawValue), \(self.grant.expires),
                    \(self.allowedAddresses), \(self.client), \(self.origin))
            """)
    }

    /// The key with that hash, if it is valid now.
    static func find(hash: String, _ database: Database) async throws(DatabaseError) -> APIKeyRecord? {
        let rows = try await database.query(
            """
            SELECT id, name, tenant, subject, scope, \(RoomLists.columns), tier, expires_at, allowed_ips, client_id, origin
            FROM api_keys WHERE hash = \(hash) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
            """)
        return try rows.first.map { row throws(DatabaseError) in try APIKeyRecord(row) }
    }

    /// Reads a row with these columns.
    init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("id")
        self.name = try row.decode("name")
        self.subject = try row.decode("subject")
        self.grant = Grant(
            tenant: try row.decode("tenant"), scopes: Scopes(claim: try row.decode("scope")),
            limits: try RoomLists(row).limits, expires: try row.decode("expires_at"))
        self.tier = Tier(rawValue: try row.decode("tier")) ?? .free
        self.allowedAddresses = try row.decode("allowed_ips")
        self.client = try row.decode("client_id")
        self.origin = try row.decode("origin")
    }

    init(
        id: String, name: String, subject: String, grant: Grant, tier: Tier, allowedAddresses: [String]? = nil,
        client: String? = nil, origin: String? = nil
    ) {
        self.id = id
        self.name = name
        self.subject = subject
        self.grant = grant
        self.tier = tier
        self.allowedAddresses = allowedAddresses
        self.client = client
        self.origin = origin
    }

    func mayBeUsed(from address: String?) -> Bool {
        guard let allowed = self.allowedAddresses else { return true }
        guard let address else { return false }
        return allowed.contains { AddressRange($0)?.contains(address) ?? false }
    }

    var principal: Principal {
        Principal(
            subject: self.subject, name: self.name, tenant: self.grant.tenant, scopes: self.grant.scopes,
            limits: self.grant.limits, credential: .apiKey, credentialID: self.id,
            expires: self.grant.expires, tier: self.tier, client: self.client)
    }
}
