import Events
import ServiceKit

/// What a client asks of a user (RFC 6749 §4.1.1, RFC 7636 §4.3): a valid request, read from the query.
struct AuthorizationRequest: Sendable {
    let client: OAuth2Client
    let redirectURI: RedirectURI
    let state: String?
    /// No more than the client has.
    let scopes: Scopes
    let challenge: String
    /// Where; `nil`: the user chooses.
    let tenant: String?
    let station: String?
    /// As it came, for the forms to carry on.
    let query: String

    static let path = "/oauth2/authorize"
    static let queryBytesMax = 8192
    private static let stateMax = 1024

    /// What is wrong with a request whose client and redirect URI are right: the client is told.
    struct Refusal: Error, Equatable {
        let code: String
        let description: String
        let redirectURI: String
        let state: String?
    }

    /// A client and the place for its answer: until both are known to be right, nothing is sent anywhere (§4.1.2.1).
    static func destination(
        _ parameters: FormParameters, of client: OAuth2Client?
    ) throws(APIFailure) -> (OAuth2Client, RedirectURI) {
        guard !parameters.repeated.contains("client_id"), let client else {
            throw FormParameters.invalid("The application that sent you here is not known.")
        }
        guard !parameters.repeated.contains("redirect_uri"),
            let uri = parameters["redirect_uri"].flatMap(RedirectURI.init),
            client.redirectURIs.contains(where: uri.fits)
        else {
            throw FormParameters.invalid(
                "The application gave an address for the answer that is not registered for it.")
        }
        return (client, uri)
    }

    /// Throws `APIFailure` for people, `Refusal` for the client.
    init(_ parameters: FormParameters, query: String, client: OAuth2Client?) throws {
        let (client, redirectURI) = try Self.destination(parameters, of: client)
        let isStateGood =
            !parameters.repeated.contains("state") && (parameters["state"]?.utf8.count ?? 0) <= Self.stateMax
        let state = isStateGood ? parameters["state"] : nil
        func refuse(_ code: String, _ description: String) -> Refusal {
            Refusal(code: code, description: description, redirectURI: redirectURI.text, state: state)
        }
        guard parameters.repeated.isEmpty else { throw refuse("invalid_request", "A parameter comes more than once") }
        guard isStateGood else {
            throw refuse("invalid_request", "state must be at most \(Self.stateMax) characters")
        }
        guard client.grants.contains(.authorizationCode) else {
            throw refuse("unauthorized_client", "The client may not ask for a code")
        }
        guard let type = parameters["response_type"] else {
            throw refuse("invalid_request", "response_type is required")
        }
        guard type == "code" else { throw refuse("unsupported_response_type", "response_type must be code") }
        guard parameters["response_mode"] ?? "query" == "query" else {
            throw refuse("invalid_request", "response_mode must be query")
        }
        guard parameters["code_challenge_method"] == "S256", let challenge = parameters["code_challenge"],
            PKCE.isChallenge(challenge)
        else {
            throw refuse(
                "invalid_request", "code_challenge of 43 characters and code_challenge_method=S256 are required")
        }
        for name in ["tenant", "station"] {
            guard parameters[name].map(Grant.isName) ?? true else {
                throw refuse("invalid_request", "\(name) is not valid")
            }
        }
        do {
            self.scopes =
                try parameters["scope"].map { try TokenEndpoint.scopes($0, within: client.scopes) } ?? client.scopes
        } catch {
            throw refuse("invalid_scope", "The scope is malformed, or more than the client has")
        }
        self.client = client
        self.redirectURI = redirectURI
        self.state = state
        self.challenge = challenge
        self.tenant = parameters["tenant"]
        self.station = parameters["station"]
        self.query = query
    }

    func refusal(_ code: String, _ description: String) -> Refusal {
        Refusal(code: code, description: description, redirectURI: self.redirectURI.text, state: self.state)
    }

    // MARK: places

    /// Where a user could grant this, and what.
    struct Place: Hashable, Sendable {
        let tenant: String
        let station: String?
        let scopes: Scopes

        /// What the form says for it. Neither part has a slash.
        var value: String { self.station.map { "\(self.tenant)/\($0)" } ?? self.tenant }
    }

    /// The tenants, and the stations if the request or the client is for some, in which the user has any of what is asked for.
    func places(of user: User) -> [Place] {
        // A client for some stations is at home in its own tenant only: elsewhere the same ids would be others' stations.
        let tenants = self.client.stations == nil ? user.tenants : user.tenants.filter { $0 == self.client.tenant }
        let stations: [String?] =
            switch (self.station, self.client.stations) {
            case (let station?, let limit): limit?.contains(station) ?? true ? [station] : []
            case (nil, let limit?): limit.sorted()
            case (nil, nil): [nil]
            }
        return tenants.filter { self.tenant ?? $0 == $0 }.flatMap { tenant in
            stations.compactMap { station in
                guard let standing = user.grant(in: tenant, station: station) else { return nil }
                let scopes = self.scopes.narrowed(to: standing.scopes)
                return scopes.all.isEmpty ? nil : Place(tenant: tenant, station: station, scopes: scopes)
            }
        }
    }
}
