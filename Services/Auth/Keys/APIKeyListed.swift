import Database
import Events

/// An API key as its tenant sees it, without the key.
struct APIKeyListed: Encodable {
    let id: String
    let name: String
    let prefix: String
    let scopes: [String]
    let stations: [String]?
    let streams: [String]?
    let cameras: [String]?
    let obs_connections: [String]?
    let tier: String
    let allowed_ips: [String]?
    let created_by: String
    let created_at: String
    let expires_at: String?
    let last_used_at: String?
    let revoked_at: String?
    /// The key that took its place.
    let replaced_by: String?

    static let columns: Query =
        """
        id, name, prefix, scope, \(RoomLists.columns), tier, allowed_ips, subject, created_at, expires_at, last_used_at,
        revoked_at, replaced_by
        """

    init(_ row: Row) throws(DatabaseError) {
        func moment(_ column: String) throws(DatabaseError) -> String? {
            try row.decode(column, as: Timestamp?.self)?.iso8601
        }
        self.id = try row.decode("id")
        self.name = try row.decode("name")
        self.prefix = try row.decode("prefix")
        self.scopes = Scopes(claim: try row.decode("scope")).all.map(\.name).sorted()
        let rooms = try RoomLists(row)
        (self.stations, self.streams) = (rooms.stations, rooms.streams)
        (self.cameras, self.obs_connections) = (rooms.cameras, rooms.obsConnections)
        self.tier = try row.decode("tier")
        self.allowed_ips = try row.decode("allowed_ips")
        self.created_by = try row.decode("subject")
        self.created_at = try row.decode("created_at", as: Timestamp.self).iso8601
        self.expires_at = try moment("expires_at")
        self.last_used_at = try moment("last_used_at")
        self.revoked_at = try moment("revoked_at")
        self.replaced_by = try row.decode("replaced_by")
    }
}
