public import Events
public import FoundationEssentials
public import JWTKit

/// What an access token says (RFC 9068 in spirit), signed with ES256. `uid`, `roles` and `station_id` are Grimnir's names.
public struct AccessTokenClaims: JWTPayload {
    public var iss: IssuerClaim
    public var sub: SubjectClaim
    public var aud: AudienceClaim
    public var exp: ExpirationClaim
    public var iat: IssuedAtClaim
    public var jti: IDClaim
    /// Names separated by spaces.
    public var scope: String
    public var tenant: String
    public var channel: String?
    /// Empty where only other rooms are listed: without the claim, older processes take the token for the whole tenant's.
    public var stations: [String]?
    public var streams: [String]?
    public var cameras: [String]?
    public var obsConnections: [String]?
    public var name: String?
    public var tier: Tier?
    public var uid: String?
    public var roles: [String]?
    public var stationID: String?
    /// Not before; ours have none.
    public var nbf: NotBeforeClaim?
    /// The OAuth2 client that it was issued to (RFC 9068 §2.2).
    public var clientID: String?
    /// The sign-in or authorization that itself issued it.
    public var sid: String?
    /// The session or API key whose end ends a token that was made with it.
    public var origin: String?

    private enum CodingKeys: String, CodingKey {
        case iss, sub, aud, exp, iat, jti, scope, tenant, channel, stations, name, tier, uid, roles, nbf, sid, origin
        case streams, cameras
        case obsConnections = "obs_connections"
        case stationID = "station_id"
        case clientID = "client_id"
    }

    /// Whom our tokens are for.
    public static let audience = "crosspoint"
    /// How far clocks may differ (RFC 8725 leaves it to us).
    public static let leeway = 60.0

    public init(principal: Principal, issuer: String, id: String, issued: Date, expires: Date) {
        self.iss = IssuerClaim(value: issuer)
        self.sub = SubjectClaim(value: principal.subject)
        self.aud = AudienceClaim(value: [Self.audience])
        // Whole seconds: some libraries read nothing else.
        self.exp = ExpirationClaim(value: Date(timeIntervalSince1970: expires.timeIntervalSince1970.rounded(.up)))
        self.iat = IssuedAtClaim(value: Date(timeIntervalSince1970: issued.timeIntervalSince1970.rounded(.down)))
        self.jti = IDClaim(value: id)
        self.scope = principal.scopes.claim
        self.tenant = principal.tenant
        self.channel = principal.tenant
        let limits = principal.limits
        self.stations = limits.map { ($0.stations ?? []).sorted() }
        self.streams = limits?.streams?.sorted()
        self.cameras = limits?.cameras?.sorted()
        self.obsConnections = limits?.obsConnections?.sorted()
        self.name = principal.name
        self.tier = principal.tier
        self.uid = principal.subject
        self.roles = principal.roles
        // One station is the one that the token is for (contract grimnir §5).
        self.stationID = principal.stations?.count == 1 ? principal.stations?.first : nil
        self.clientID = principal.client
        self.sid = principal.session
        self.origin = principal.origin
    }

    public func verify(using algorithm: some JWTAlgorithm) throws {
        try self.aud.verifyIntendedAudience(includes: Self.audience)
        try self.exp.verifyNotExpired(currentDate: Date().addingTimeInterval(-Self.leeway))
        try self.nbf?.verifyNotBefore(currentDate: Date().addingTimeInterval(Self.leeway))
        guard self.iat.value <= Date().addingTimeInterval(Self.leeway) else {
            throw JWTError.claimVerificationFailure(failedClaim: self.iat, reason: "issued in the future")
        }
    }
}
