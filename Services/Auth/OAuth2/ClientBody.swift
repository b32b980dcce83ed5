import Events
import HTTPTypes
import ServiceKit

/// What somebody sends who registers an OAuth2 client.
struct ClientBody: CredentialBody {
    static let members: Set = [
        "name", "scope", "tenant", "stations", "grants", "redirect_uris", "type", "token_format",
    ]

    var name: String
    var scope: String
    var tenant: String?
    var stations: [String]?
    var grants: [GrantType]?
    var redirect_uris: [String]?
    var type: OAuth2Client.Kind?
    var token_format: AccessTokens.Format?

    private static let redirectsMax = 10

    /// The client that the asker may make. One that gets tokens in its own name ends by `until` at the latest. Throws 400 and 403.
    func client(for asker: Principal, secretHash: String?, until: Timestamp?) throws(APIFailure) -> OAuth2Client {
        let name = try self.name.requireName(field: "name")
        let grant = try Grant(
            for: asker, tenant: self.tenant, scope: self.scope, rooms: RoomLists(stations: self.stations),
            timeToLive: nil,
            standard: nil,
            range: 1...AccessTokens.lifetimeMax, until: until)
        // A client has stations only.
        guard grant.limits.map({ $0.kinds == [.station] }) ?? true else {
            throw APIFailure(
                .forbidden, "A credential that is limited to other rooms than stations makes no clients",
                details: ["field": "stations"])
        }
        let grants = Set(self.grants ?? [.clientCredentials])
        try Self.check(grants, type: self.type ?? .confidential)
        let client = OAuth2Client(
            id: "client_\(ULID())", name: name, tenant: grant.tenant, scopes: grant.scopes,
            stations: grant.limits?.stations, grants: grants, redirectURIs: try self.redirects(for: grants),
            format: self.token_format ?? .opaque, secretHash: secretHash,
            // What the others get is their users' to give.
            expires: grants.contains(.clientCredentials) ? grant.expires : nil)
        try asker.requireCoverage(of: client.principal)
        return client
    }

    private static func check(_ grants: Set<GrantType>, type: OAuth2Client.Kind) throws(APIFailure) {
        guard !grants.isEmpty, grants != [.refreshToken] else {
            throw Self.invalid("grants", "grants must have client_credentials or authorization_code")
        }
        guard type == .confidential || !grants.contains(.clientCredentials) else {
            throw Self.invalid("grants", "A public client has no secret, and so no client_credentials")
        }
        guard !grants.contains(.refreshToken) || grants.contains(.authorizationCode) else {
            throw Self.invalid("grants", "refresh_token goes with authorization_code")
        }
    }

    private func redirects(for grants: Set<GrantType>) throws(APIFailure) -> [String] {
        let redirects = self.redirect_uris ?? []
        guard redirects.isEmpty != grants.contains(.authorizationCode) else {
            throw Self.invalid(
                "redirect_uris", "authorization_code needs redirect_uris, and nothing else has a use for them")
        }
        guard redirects.count <= Self.redirectsMax, Set(redirects).count == redirects.count,
            redirects.allSatisfy({ RedirectURI($0) != nil })
        else {
            throw Self.invalid(
                "redirect_uris",
                """
                redirect_uris must be at most \(Self.redirectsMax) different URIs of at most \(RedirectURI.lengthMax) characters, without \
                a fragment: https, http on a loopback address, or a scheme such as com.example.app
                """)
        }
        return redirects
    }

    private static func invalid(_ field: String, _ message: String) -> APIFailure {
        APIFailure(.badRequest, message, details: ["field": field])
    }
}
