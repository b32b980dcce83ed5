import Events

/// Somebody with a password.
struct User: Sendable, Hashable {
    var id: String
    var email: String
    var name: String
    /// Whether they may administer auth itself (`auth:admin`).
    var isOwner: Bool
    var memberships: [Membership]
}

/// What a user is in a channel, or at one station of it.
struct Membership: Sendable, Hashable {
    var tenant: String
    /// `nil`: everywhere in the channel.
    var station: String?
    var role: Role
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
                    .radioWrite, .obsSources, .camerasWrite, .overlaysBroadcast, .tipsModeration,
                ]))
        case .admin, .owner: [.all]
        }
    }

    private static let read: Scopes = [
        .obsRead, .systemRead, .streamsRead, .analyticsRead, .activitiesRead, .channelRead, .tipsRead, .sessionRead,
        .streamLiveRead, .overlaysRead, .kvstoreRead, .storeRead, .botRead, .radioRead, .camerasRead,
    ]

    static func < (left: Role, right: Role) -> Bool { left.power < right.power }

    private var power: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
