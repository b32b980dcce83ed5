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
        var credential: CredentialKind
        var credentialID: String
        var issued: Timestamp?
        var expires: Timestamp?
        var tier: Tier
        var client: String?
        var session: String?
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
    /// The stations that it may see; `nil`: all of its tenant.
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
    /// The sign-in or authorization that the token comes from: its refresh tokens' family.
    public var session: String? {
        get { self.storage.fields.session }
        set { self.change { $0.session = newValue } }
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
        credential: CredentialKind, credentialID: String, issued: Timestamp? = nil, expires: Timestamp? = nil,
        tier: Tier = .free, client: String? = nil, session: String? = nil, signingKey: String? = nil,
        roles: [String]? = nil
    ) {
        self.storage = Storage(
            Fields(
                subject: subject, name: name, tenant: tenant, scopes: scopes, stations: stations,
                credential: credential, credentialID: credentialID, issued: issued, expires: expires, tier: tier,
                client: client, session: session, signingKey: signingKey, roles: roles))
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
        scopes: [.obsRead, .obsSources, .obsScene, .obsConnect, .systemRead], credential: .anonymous,
        credentialID: "anonymous")

    /// Whose use of a plan is counted together. Tokens and tickets are many and short-lived, so theirs is their user's, or a client's own.
    public var seatOwner: String { self.credential == .apiKey ? self.credentialID : self.subject }

    /// Whether an event of this kind and room may be shown to it, given that the tenant is right.
    public func maySee(_ entry: CatalogueEntry, room: String) -> Bool {
        guard self.maySee(entry) else { return false }
        switch entry.room {
        case .station: return self.stations?.contains(room) ?? true
        case .obsConnection: return entry.scope.map { self.scopes.contains($0, on: room) } ?? true
        default: return true
        }
    }

    /// Whether events of this kind may be shown to it at all. One that needs no scope still needs a credential.
    public func maySee(_ entry: CatalogueEntry) -> Bool {
        guard let scope = entry.scope else { return self.credential != .anonymous }
        return entry.room == .obsConnection ? self.scopes.containsSomewhere(scope) : self.scopes.contains(scope)
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
public enum Tier: String, Sendable, Hashable, Codable, CaseIterable {
    case free, pro, enterprise
}
