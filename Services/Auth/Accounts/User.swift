import Events

/// Somebody with a password.
struct User: Sendable, Hashable {
    var id: String
    var email: String
    var name: String
    /// Whether they may administer auth itself (`auth:admin`).
    var isOwner: Bool
    var memberships: [Membership]
    /// How often everything that they held was revoked.
    var generation: Int64 = 0
}

/// What a user is in a channel, or at one station of it.
struct Membership: Sendable, Hashable {
    var tenant: String
    /// `nil`: everywhere in the channel.
    var station: String?
    var role: Role
}

/// What somebody may do in one tenant: what a credential of theirs says.
struct Standing: Sendable, Hashable {
    let tenant: String
    let scopes: Scopes
    /// `nil`: all of the tenant's.
    let stations: Set<String>?
    /// The roles' names, for Grimnir's claim.
    let roles: [String]

    /// Among the roles of an owner of the installation.
    static let platformAdmin = "platform_admin"
}

extension User {
    /// What they are without a word of anybody: an owner is one in the default tenant.
    private var effective: [Membership] {
        let isDefault = self.memberships.contains { $0.tenant == Principal.defaultTenant }
        guard self.isOwner, !isDefault else { return self.memberships }
        return self.memberships + [Membership(tenant: Principal.defaultTenant, role: .owner)]
    }

    /// The tenants that they are in, in order.
    var tenants: [String] { Set(self.effective.map(\.tenant)).sorted() }

    /// What they may do; `nil`: nothing there.
    /// - Parameters:
    ///   - tenant: `nil`: where they have a role at the station itself; else the default tenant for an owner, the first by id for others.
    ///   - station: for this one only, with the stronger of their roles there and in the whole tenant. `nil`: a role in the whole
    ///     tenant counts alone; who has roles at stations only gets those stations, with what they may do at every one of them.
    func grant(in tenant: String?, station: String?) -> Standing? {
        guard let tenant = tenant ?? self.tenant(of: station) else { return nil }
        let here = self.effective.filter { $0.tenant == tenant }
        if let station {
            guard Grant.isName(station) else { return nil }
            let roles = here.filter { $0.station == nil || $0.station == station }.map(\.role)
            return roles.max().map { self.standing(tenant, $0, [station]) }
        }
        if let role = here.filter({ $0.station == nil }).map(\.role).max() { return self.standing(tenant, role, nil) }
        return here.map(\.role).min().map { self.standing(tenant, $0, Set(here.compactMap(\.station))) }
    }

    private func tenant(of station: String?) -> String? {
        let here = self.effective.filter { station != nil && $0.station == station }.map(\.tenant).min()
        if let here { return here }
        // Somebody's roles at other stations say nothing about this one.
        let usable =
            station == nil ? self.tenants : Set(self.effective.filter { $0.station == nil }.map(\.tenant)).sorted()
        if self.isOwner, usable.contains(Principal.defaultTenant) { return Principal.defaultTenant }
        return usable.first
    }

    private func standing(_ tenant: String, _ role: Role, _ stations: Set<String>?) -> Standing {
        let administers: Set<Scope> = self.isOwner ? [.authAdmin] : []
        return Standing(
            tenant: tenant, scopes: Scopes(role.scopes.all.union(administers)), stations: stations,
            roles: [role.rawValue] + (self.isOwner ? [Standing.platformAdmin] : []))
    }
}

/// In order of power: each has what the ones before it have (contract grimnir §8).
enum Role: String, Sendable, Hashable, CaseIterable, Comparable {
    case viewer, dj, manager, admin, owner

    /// What it may do where it holds.
    var scopes: Scopes {
        switch self {
        case .viewer: Self.read
        case .dj: Scopes(Self.read.all.union([.streamsWrite, .activitiesWrite, .camerasControl]))
        case .manager:
            Scopes(
                Role.dj.scopes.all.union([
                    .radioWrite, .obsScreenshot, .obsSources, .obsScene, .obsStream, .camerasWrite, .overlaysWrite,
                    .overlaysBroadcast, .tipsWrite, .tipsModeration, .sessionWrite, "channel:write", "kvstore:write",
                    "store:write", "bot:write",
                ]))
        case .admin, .owner: [.all]
        }
    }

    private static let read: Scopes = [
        .obsRead, .systemRead, .streamsRead, .analyticsRead, .recordingsRead, .activitiesRead, .channelRead, .tipsRead,
        .sessionRead,
        .streamLiveRead, .overlaysRead, .kvstoreRead, .storeRead, .botRead, .radioRead, .camerasRead,
    ]

    static func < (left: Role, right: Role) -> Bool { left.power < right.power }

    private var power: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

extension Scopes {
    /// What both allow.
    func narrowed(to other: Scopes) -> Scopes {
        Scopes(self.all.filter(other.contains).union(other.all.filter(self.contains)))
    }
}
