/// Whoever asks, after their credential was verified: what an event may be shown to, and who may write.
public struct Principal: Sendable, Hashable, Codable {
    /// A stable id of the user, client or key owner.
    public var subject: String
    /// What other people see, for example beside a chat line.
    public var name: String
    /// The organisation or channel whose things this principal may see. On Astro it is the channel, its room.
    public var tenant: String
    public var scopes: Scopes
    /// The stations that it may see; `nil`: all of its tenant.
    public var stations: Set<String>?
    public var credential: CredentialKind
    /// The token's `jti` or the key's id: what a revocation names.
    public var credentialID: String
    /// When the credential was issued, to the millisecond; `nil`: not known.
    public var issued: Timestamp?
    /// When the credential ends; `nil`: not by time.
    public var expires: Timestamp?
    public var tier: Tier
    /// The OAuth2 client that the token was issued to.
    public var client: String?
    /// The sign-in or authorization that the token comes from: its refresh tokens' family.
    public var session: String?
    /// The id of the key that the token was signed with.
    public var signingKey: String?
    /// What a user is in the tenant or at the token's station (contract grimnir §1).
    public var roles: [String]?

    public init(
        subject: String, name: String, tenant: String, scopes: Scopes, stations: Set<String>? = nil,
        credential: CredentialKind, credentialID: String, issued: Timestamp? = nil, expires: Timestamp? = nil,
        tier: Tier = .free, client: String? = nil, session: String? = nil, signingKey: String? = nil,
        roles: [String]? = nil
    ) {
        self.subject = subject
        self.name = name
        self.tenant = tenant
        self.scopes = scopes
        self.stations = stations
        self.credential = credential
        self.credentialID = credentialID
        self.issued = issued
        self.expires = expires
        self.tier = tier
        self.client = client
        self.session = session
        self.signingKey = signingKey
        self.roles = roles
    }

    /// The tenant of an installation with one user.
    public static let defaultTenant = "default"

    /// A Source Saver client without a credential: its own five categories of the default tenant (docs/architecture.md).
    public static let anonymous = Principal(
        subject: "anonymous", name: "anonymous", tenant: Self.defaultTenant,
        scopes: [.obsRead, .obsSources, .systemRead], credential: .anonymous, credentialID: "anonymous")

    /// Whether an event of this kind and room may be shown to it, given that the tenant is right.
    public func maySee(_ entry: CatalogueEntry, room: String) -> Bool {
        guard self.maySee(entry) else { return false }
        guard entry.room == .station, let stations = self.stations else { return true }
        return stations.contains(room)
    }

    /// Whether events of this kind may be shown to it at all. One that needs no scope still needs a credential.
    public func maySee(_ entry: CatalogueEntry) -> Bool {
        guard let scope = entry.scope else { return self.credential != .anonymous }
        return self.scopes.contains(scope)
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
