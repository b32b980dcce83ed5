/// The commands that auth answers.

/// Who a credential belongs to (RFC 7662 in spirit): for API keys and opaque tokens.
public struct Introspect: Command {
    public typealias Answer = Introspection
    public static let name = "auth.introspect"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.suite, .gateway]
    public var token: String
    /// Where the client came from: for keys that are bound to addresses, and to slow down whoever guesses.
    public var remoteAddress: String?

    public init(token: String, remoteAddress: String?) {
        self.token = token
        self.remoteAddress = remoteAddress
    }
}

public struct Introspection: Codable, Sendable {
    /// `nil`: the credential is not valid.
    public var principal: Principal?
    /// Seconds after which that address may try again; set when it showed too many bad credentials, and this one was not looked at.
    public var retryAfter: Int?

    public init(principal: Principal?, retryAfter: Int? = nil) {
        self.principal = principal
        self.retryAfter = retryAfter
    }
}

/// Exchanges a one-time ticket for whom it was made for. The second to ask gets nobody.
public struct RedeemTicket: Command {
    public typealias Answer = Introspection
    public static let name = "auth.redeem"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.suite, .gateway]
    public var ticket: String
    public var remoteAddress: String?

    public init(ticket: String, remoteAddress: String?) {
        self.ticket = ticket
        self.remoteAddress = remoteAddress
    }
}

/// Spends the id of a token that counts once, such as a gateway's reconnect token, over all replicas and restarts.
public struct SpendToken: Command {
    public struct Answer: Codable, Sendable {
        /// `false`: it was spent before.
        public var isFirst: Bool
        /// What was kept under the id; told once.
        public var content: String?

        public init(isFirst: Bool, content: String? = nil) {
            self.isFirst = isFirst
            self.content = content
        }
    }
    public static let name = "auth.spend"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.gateway]
    /// 1 to 64 letters, digits, `-` or `_`.
    public var id: String
    /// When the token ends by itself; within an hour.
    public var until: Timestamp

    public init(id: String, until: Timestamp) {
        self.id = id
        self.until = until
    }
}

/// What a channel is called, for clients that name it instead of its id (contract astro §4).
public struct FindChannel: Command {
    public struct Answer: Codable, Sendable {
        /// `nil`: there is no such channel.
        public var name: String?
        public init(name: String?) { self.name = name }
    }
    public static let name = "auth.findChannel"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.gateway]
    public var id: String

    public init(id: String) { self.id = id }
}

/// Keeps what does not fit into a token that counts once, until that is spent. Fails with `conflict` if something is kept under the id
/// already.
public struct KeepToken: Command {
    public struct Answer: Codable, Sendable {
        public init() {}
    }
    public static let name = "auth.keep"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.gateway]
    /// 1 to 64 letters, digits, `-` or `_`.
    public var id: String
    /// At most 256 KiB.
    public var content: String
    /// When the token ends by itself; within an hour.
    public var until: Timestamp

    public init(id: String, content: String, until: Timestamp) {
        self.id = id
        self.content = content
        self.until = until
    }
}

/// The public keys that access tokens are signed with, as a JWKS document (RFC 7517), the issuer's name, and which other issuers'
/// tokens are good here.
public struct FetchKeys: Command {
    public struct Answer: Codable, Sendable, Hashable {
        public var issuer: String
        public var jwks: String
        public var others: [TrustedIssuer]?

        public init(issuer: String, jwks: String, others: [TrustedIssuer]? = nil) {
            self.issuer = issuer
            self.jwks = jwks
            self.others = others
        }
    }
    public static let name = "auth.keys"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.suite, .gateway]
    /// The issuer of a token whose key is not among those that were told; auth then asks that issuer for its keys again.
    public var missing: String?

    public init(missing: String? = nil) { self.missing = missing }
}

/// An OpenID Connect issuer whose tokens are accepted as access tokens, and what they are worth here.
public struct TrustedIssuer: Codable, Sendable, Hashable {
    /// One claim with one value gives these scopes.
    public struct Rule: Codable, Sendable, Hashable {
        public var claim: String
        /// What the claim is, or what is among its members if it is a list (or a text of names separated by spaces); `*`: anything.
        public var value: String
        public var scope: String

        public init(claim: String, value: String, scope: String) {
            self.claim = claim
            self.value = value
            self.scope = scope
        }
    }

    /// The `iss` of its tokens.
    public var issuer: String
    /// A short name; its subjects are `<name>|<sub>` here.
    public var name: String
    /// One of the members of `aud`.
    public var audience: String
    /// Accepted signature algorithms, for example `RS256`; never `none`, never an HMAC.
    public var algorithms: [String]
    /// Accepted values of the header `typ`, in lower case and without `application/`; an empty one stands for a token without `typ`.
    /// `nil`: `at+jwt` only (RFC 9068 §4).
    public var types: [String]?
    /// The claim that names the tenant; `nil`: always `tenant`.
    public var tenantClaim: String?
    /// The tenant, or the only ones that the claim may name.
    public var tenants: [String]
    public var rules: [Rule]
    /// Its public keys as a JWKS document; `nil`: not fetched yet.
    public var jwks: String?

    public init(
        issuer: String, name: String, audience: String, algorithms: [String], types: [String]? = nil,
        tenantClaim: String?, tenants: [String], rules: [Rule], jwks: String? = nil
    ) {
        self.issuer = issuer
        self.name = name
        self.audience = audience
        self.algorithms = algorithms
        self.types = types
        self.tenantClaim = tenantClaim
        self.tenants = tenants
        self.rules = rules
        self.jwks = jwks
    }
}

/// Every revocation that can still concern a credential, page by page: for those who were not there when it was published.
public struct FetchRevocations: Command {
    public struct Answer: Codable, Sendable {
        /// In order of number.
        public var revocations: [CredentialRevoked]
        /// The number to ask after next.
        public var last: Int64
        /// Whether there is another page now.
        public var hasMore: Bool
        /// The term of auth's writer. The numbers of another term say nothing: a failover or a restore may have given them out again.
        /// `nil`: not known now.
        public var term: UInt64?

        public init(revocations: [CredentialRevoked], last: Int64, hasMore: Bool, term: UInt64? = nil) {
            self.revocations = revocations
            self.last = last
            self.hasMore = hasMore
            self.term = term
        }
    }
    public static let name = "auth.revocations"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.suite, .gateway]
    /// Those with a higher number; 0: all. A number that auth never gave is answered like 0.
    public var after: Int64

    public init(after: Int64) { self.after = after }
}

/// Takes one of the seats that a key or account has over all gateways.
public struct TakeSeat: Command {
    public struct Answer: Codable, Sendable {
        /// `false`: none is free.
        public var isTaken: Bool
        public init(isTaken: Bool) { self.isTaken = isTaken }
    }
    public static let name = "auth.takeSeat"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.gateway]
    /// One life of one gateway.
    public var holder: String
    /// Whose seats, for example `wave/` and a key's id.
    public var owner: String
    /// How many there are.
    public var max: Int

    public init(holder: String, owner: String, max: Int) {
        self.holder = holder
        self.owner = owner
        self.max = max
    }
}

/// All seats that a gateway holds, every two seconds; those of one that falls silent for `lease` are free again.
public struct HoldSeats: Command {
    public struct Answer: Codable, Sendable {
        public init() {}
    }
    public static let name = "auth.holdSeats"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.gateway]
    public static let lease = Duration.seconds(6)
    public var holder: String
    public var seats: [String: Int]

    public init(holder: String, seats: [String: Int]) {
        self.holder = holder
        self.seats = seats
    }
}

/// Credentials that a process refused without asking auth, added up, for the audit log. No secret is among it.
public struct ReportRefusals: Command {
    public struct Refusal: Codable, Sendable, Hashable {
        public var address: String
        /// A word such as `expired` or `signature`.
        public var reason: String
        public var count: Int

        public init(address: String, reason: String, count: Int) {
            self.address = address
            self.reason = reason
            self.count = count
        }
    }
    public struct Answer: Codable, Sendable {
        public init() {}
    }
    public static let name = "auth.refusals"
    public static let service = ServiceName.auth
    public static let askers: Set<BusRole> = [.suite, .gateway]
    public var process: ServiceName
    public var refusals: [Refusal]

    public init(process: ServiceName, refusals: [Refusal]) {
        self.process = process
        self.refusals = refusals
    }
}
