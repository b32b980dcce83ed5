import Database
import Events

/// A user as they are stored, disabled or not.
struct UserRecord: Sendable {
    var user: User
    var passwordHash: PasswordHash?
    var disabled: Timestamp?
    var lastLogin: Timestamp?
    var created: Timestamp
    var updated: Timestamp

    /// All columns of all users; a condition follows.
    private static let select: Query = """
        SELECT u.id, u.email, u.name, u.password_hash, u.is_owner, u.generation, u.disabled_at, u.last_login_at, u.created_at, u.updated_at,
            ARRAY(SELECT m.tenant FROM memberships m WHERE m.user_id = u.id ORDER BY m.tenant, m.station) AS tenants,
            ARRAY(SELECT m.station FROM memberships m WHERE m.user_id = u.id ORDER BY m.tenant, m.station) AS stations,
            ARRAY(SELECT m.role FROM memberships m WHERE m.user_id = u.id ORDER BY m.tenant, m.station) AS roles
        FROM users u
        """

    static func query(where condition: Query) -> Query { "\(Self.select) WHERE \(condition)" }

    /// - Parameter id: anything from outside.
    static func find(_ id: String, _ mutation: Mutation) async throws -> UserRecord? {
        guard Grant.isName(id) else { return nil }
        return try await mutation.query(Self.query(where: "u.id = \(id)")).first.map(UserRecord.init)
    }

    init(_ row: Row) throws(DatabaseError) {
        let (tenants, stations, roles): ([String], [String], [String]) = (
            try row.decode("tenants"), try row.decode("stations"), try row.decode("roles")
        )
        var memberships: [Membership] = []
        for (index, tenant) in tenants.enumerated() {
            guard let role = Role(rawValue: roles[index]) else {
                throw .decoding("there is no role \(roles[index])")
            }
            memberships.append(
                Membership(tenant: tenant, station: stations[index].isEmpty ? nil : stations[index], role: role))
        }
        self.user = User(
            id: try row.decode("id"), email: try row.decode("email"), name: try row.decode("name"),
            isOwner: try row.decode("is_owner"), memberships: memberships, generation: try row.decode("generation"))
        self.passwordHash = try row.decode("password_hash", as: String?.self).flatMap(PasswordHash.init(text:))
        self.disabled = try row.decode("disabled_at")
        self.lastLogin = try row.decode("last_login_at")
        self.created = try row.decode("created_at")
        self.updated = try row.decode("updated_at")
    }
}
