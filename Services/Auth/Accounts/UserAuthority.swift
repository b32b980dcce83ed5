import Access
import Database
import Events
import ServiceKit

/// Which users an asker may see and change, and which roles they may give. With `auth:admin` all; otherwise those of their own tenant (and
/// of their own stations, if they are limited to some), never an owner, and never with more than they may do themselves.
struct UserAuthority {
    static let read: Scope = "users:read"
    static let write: Scope = "users:write"

    let asker: Principal
    let isAdmin: Bool

    init(_ asker: Principal) {
        self.asker = asker
        self.isAdmin = asker.administersAuth
    }

    /// Throws 401 and 403.
    init(_ context: APIContext, _ scope: Scope) throws(APIFailure) {
        let asker = try context.requirePrincipal()
        self.init(asker.administersAuth ? asker : try context.requireSomewhere(scope))
    }

    /// The stations that the asker is limited to, none for other limits; `nil`: they are not limited.
    private var stations: [String]? { self.asker.limits.map { $0.stations?.sorted() ?? [] } }

    /// Whether a role there is the asker's business.
    func covers(tenant: String, station: String?) -> Bool {
        if self.isAdmin { return true }
        guard tenant == self.asker.tenant else { return false }
        guard let stations = self.stations else { return true }
        return station.map(stations.contains) ?? false
    }

    private func covers(_ membership: Membership) -> Bool {
        self.covers(tenant: membership.tenant, station: membership.station)
    }

    /// Whether the asker has all that the role has.
    func mayGive(_ role: Role) -> Bool {
        self.isAdmin || role.scopes.all.allSatisfy { self.asker.scopes.contains($0) }
    }

    func sees(_ user: User) -> Bool { self.isAdmin || (!user.isOwner && user.memberships.contains(where: self.covers)) }

    /// The roles that are shown.
    func visible(_ user: User) -> [Membership] { user.memberships.filter(self.covers) }

    /// Whether the asker may change who the user is, and sign in as them with a new password: only if nothing of theirs lies beyond.
    func manages(_ user: User) -> Bool {
        self.sees(user) && user.memberships.allSatisfy { self.covers($0) && self.mayGive($0.role) } || self.isAdmin
    }

    /// The tenant under which the audit log has what is done to the user.
    func tenant(of user: User) -> String {
        self.isAdmin ? user.tenants.first ?? self.asker.tenant : self.asker.tenant
    }

    /// `sees` as a condition on `users u`.
    func condition(tenant: String?) -> Query {
        """
        (\(self.isAdmin) OR NOT u.is_owner) AND (\(tenant)::text IS NULL OR EXISTS (SELECT 1 FROM memberships m
            WHERE m.user_id = u.id AND m.tenant = \(tenant)
                AND (\(self.isAdmin) OR \(self.stations)::text[] IS NULL OR m.station = ANY (\(self.stations)::text[]))))
        """
    }
}
