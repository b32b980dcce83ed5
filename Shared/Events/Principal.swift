/// Whoever asks, after their credential was verified: what an event may be shown to, and who may write.
///
/// A value whose copies share their memory until one is changed: a gateway keeps several for each of its connections.
public struct Principal: Sendable {
    private final class Storage: Sendable {
        let fields: Fields

        init(_ fields: Fields) { self.fields = fields }
    }

    private struct Fields: Sendable, Hashable, Codable {
        var subject: String
        var name: String
        var tenant: String
        var scopes: Scopes
        var stations: Set<String>?
        var streams: Set<String>?
        var cameras: Set<String>?
        var obsConnections: Set<String>?
        var credential: CredentialKind
        var credentialID: String
        var issued: Timestamp?
        var expires: Timestamp?
        var tier: Tier
        var client: String?
        var session: String?
        var origin: String?
        var signingKey: String?
        var roles: [String]?
    }

    private var storage: Storage

    /// A stable id of the user, client or key owner.
    public var subject: String {
        get { self.storage.fields.subject }
        set { self.change { $0.subject = newValue } }
    }
    /// What other people see, for example beside a chat line.
    public var name: String {
        get { self.storage.fields.name }
        set { self.change { $0.name = newValue } }
    }
    /// The organisation or channel whose things this principal may see. On Astro it is the channel, its room.
    public var tenant: String {
        get { self.storage.fields.tenant }
        set { self.change { $0.tenant = newValue } }
    }
    public var scopes: Scopes {
        get { self.storage.fields.scopes }
        set { self.change { $0.scopes = newValue } }
    }
    /// The rooms that it is limited to; `nil`: all of its tenant.
    public var limits: RoomLimits? {
        get {
            let fields = self.storage.fields
            let limits = RoomLimits(
                stations: fields.stations, streams: fields.streams, cameras: fields.cameras,
                obsConnections: fields.obsConnections)
            return limits.isEmpty ? nil : limits
        }
        set {
            self.change {
                $0.stations = newValue?.stations
                $0.streams = newValue?.streams
                $0.cameras = newValue?.cameras
                $0.obsConnections = newValue?.obsConnections
            }
        }
    }
    /// The stations that it is limited to; `nil`: all of its tenant, or none if it is limited to other rooms.
    public var stations: Set<String>? {
        get { self.storage.fields.stations }
        set { self.change { $0.stations = newValue } }
    }
    public var credential: CredentialKind {
        get { self.storage.fields.credential }
        set { self.change { $0.credential = newValue } }
    }
    /// The token's `jti` or the key's id: what a revocation names.
    public var credentialID: String {
        get { self.storage.fields.credentialID }
        set { self.change { $0.credentialID = newValue } }
    }
    /// When the credential was issued, to the millisecond; `nil`: not known.
    public var issued: Timestamp? {
        get { self.storage.fields.issued }
        set { self.change { $0.issued = newValue } }
    }
    /// When the credential ends; `nil`: not by time.
    public var expires: Timestamp? {
        get { self.storage.fields.expires }
        set { self.change { $0.expires = newValue } }
    }
    public var tier: Tier {
        get { self.storage.fields.tier }
        set { self.change { $0.tier = newValue } }
    }
    /// The OAuth2 client that the token was issued to.
    public var client: String? {
        get { self.storage.fields.client }
        set { self.change { $0.client = newValue } }
    }
    /// The sign-in or authorization that itself issued the token; `nil` for whatever was made with such a token.
    public var session: String? {
        get { self.storage.fields.session }
        set { self.change { $0.session = newValue } }
    }
    /// The session or API key whose end also ends this token, which was made with one of the session's tokens or with the key. It
    /// conveys no right of either.
    public var origin: String? {
        get { self.storage.fields.origin }
        set { self.change { $0.origin = newValue } }
    }
    /// The session or API key whose end ends the credential and the tokens that are made with it: of an API key itself, of a token the
    /// session that issued it, or else its origin.
    public var lineage: String? {
        self.credential == .apiKey ? self.credentialID : self.session ?? self.origin
    }
    /// Whether it is an access token that a sign-in with a password issued. Only such a token acts as the user themselves: it is
    /// refreshed, and reads and signs out its user's account.
    public var isSignIn: Bool {
        // Only what a session issues has roles; an earlier version gave the session's id to derived tokens too.
        self.session != nil && self.roles != nil && self.client == nil && self.credential != .apiKey
    }
    /// The id of the key that the token was signed with.
    public var signingKey: String? {
        get { self.storage.fields.signingKey }
        set { self.change { $0.signingKey = newValue } }
    }
    /// What a user is in the tenant or at the token's station (contract grimnir §1).
    public var roles: [String]? {
        get { self.storage.fields.roles }
        set { self.change { $0.roles = newValue } }
    }

    public init(
        subject: String, name: String, tenant: String, scopes: Scopes, stations: Set<String>? = nil,
        limits: RoomLimits? = nil, credential: CredentialKind, credentialID: String, issued: Timestamp? = nil,
        expires: Timestamp? = nil, tier: Tier = .free, client: String? = nil, session: String? = nil,
        origin: String? = nil,
        signingKey: String? = nil, roles: [String]? = nil
    ) {
        self.storage = Storage(
            Fields(
                subject: subject, name: name, tenant: tenant, scopes: scopes, stations: stations ?? limits?.stations,
                streams: limits?.streams, cameras: limits?.cameras, obsConnections: limits?.obsConnections,
                credential: credential, credentialID: credentialID, issued: issued, expires: expires, tier: tier,
                client: client, session: session, origin: origin, signingKey: signingKey, roles: roles))
    }

    private mutating func change(_ body: (inout Fields) -> Void) {
        var fields = self.storage.fields
        body(&fields)
        self.storage = Storage(fields)
    }

    /// The tenant of an installation with one user.
    public static let defaultTenant = "default"

    /// A Source Saver client without a credential: its own five categories of the default tenant (docs/architecture.md).
    public static let anonymous = Principal(
        subject: "anonymous", name: "anonymous", tenant: Self.defaultTenant,
        scopes: [.obsRead, .obsScreenshot, .obsSources, .obsScene, .obsConnect, .systemRead], credential: .anonymous,
        credentialID: "anonymous")

    /// Whose use of a plan is counted together. Tokens and tickets are many and short-lived, so theirs is their user's, or a client's own.
    public var seatOwner: String { self.credential == .apiKey ? self.credentialID : self.subject }

    /// Whether the other may do nothing that this one may not: tenant, scopes, rooms and tier. With `auth:admin`, tenant and tier
    /// are free. Lifetimes are not compared.
    public func covers(_ other: Principal) -> Bool {
        let isAdmin = self.administersAuth
        return (isAdmin || self.tenant == other.tenant) && other.scopes.all.allSatisfy(self.scopes.contains)
            && self.limits?.contain(other.limits) ?? true && (isAdmin || other.tier <= self.tier)
    }
}

extension Principal: Hashable {
    public static func == (one: Principal, other: Principal) -> Bool {
        one.storage === other.storage || one.storage.fields == other.storage.fields
    }

    public func hash(into hasher: inout Hasher) {
        // Nearly as good as all of it, and much less work.
        hasher.combine(self.credentialID)
        hasher.combine(self.subject)
    }
}

extension Principal: Codable {
    public init(from decoder: any Decoder) throws {
        self.storage = Storage(try Fields(from: decoder))
    }

    public func encode(to encoder: any Encoder) throws {
        try self.storage.fields.encode(to: encoder)
    }
}

public enum CredentialKind: String, Sendable, Hashable, Codable {
    case anonymous
    case jwt
    case oauth2
    case apiKey = "apikey"
}

/// A plan: WAVE's limits go by it (contract wave §7).
public enum Tier: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
    case free, pro, enterprise

    public static func < (one: Tier, other: Tier) -> Bool { one.rank < other.rank }

    private var rank: Int {
        switch self {
        case .free: 0
        case .pro: 1
        case .enterprise: 2
        }
    }
}
