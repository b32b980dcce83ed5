import Access
import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `/oauth2/authorize` (RFC 6749 §3.1): asks the signed-in user, and gives the client a code or the refusal.
struct AuthorizeEndpoint {
    let writer: EventWriter
    let clients: OAuth2Clients
    let browsers: BrowserSessions
    let issuer: String

    static let purpose = "authorize"

    func add(to router: Router<APIContext>) {
        router.get("/oauth2/authorize") { request, _ in
            try await ErrorPage.guarding { try await self.show(request) }
        }
        router.post("/oauth2/authorize") { request, context in
            try await ErrorPage.guarding { try await self.decide(request, context) }
        }
    }

    private func show(_ request: Request) async throws -> Response {
        let query = request.uri.query ?? ""
        let session = try await self.browsers.find(request)
        do {
            let asked = try await self.read(query)
            guard let session else { return Self.signIn(query) }
            let places = asked.places(of: session.user)
            guard !places.isEmpty else {
                throw asked.refusal("invalid_scope", "The user has none of these scopes to give")
            }
            return ConsentPage(request: asked, user: session.user, places: places, session: session.secret).page
                .response()
        } catch let refusal as AuthorizationRequest.Refusal {
            return self.answer(refusal, query: query, session: session)
        }
    }

    private func decide(_ request: Request, _ context: APIContext) async throws -> Response {
        guard FormOrigin.isOurs(request, issuer: self.issuer) else { throw ErrorPage.foreign }
        let form = try await request.form()
        try form.requireNoneRepeated()
        let query = form["request"] ?? ""
        let session = try await self.browsers.find(request)
        do {
            let asked = try await self.read(query)
            guard let session else { return Self.signIn(query) }
            guard FormToken(session.secret, purpose: Self.purpose, content: asked.query).accepts(form["csrf"]) else {
                throw ErrorPage.foreign
            }
            switch form["decision"] {
            case "allow":
                guard let place = asked.places(of: session.user).first(where: { $0.value == form["place"] }) else {
                    throw FormParameters.invalid("Choose one of the channels.")
                }
                return try await self.grant(asked, place, session.user, context)
            case "deny": return try await self.deny(asked, session.user, context)
            default: throw FormParameters.invalid("Allow or deny.")
            }
        } catch let refusal as AuthorizationRequest.Refusal {
            return self.answer(refusal, query: query, session: session)
        }
    }

    private func read(_ query: String) async throws -> AuthorizationRequest {
        guard query.utf8.count <= AuthorizationRequest.queryBytesMax else {
            throw APIFailure(.uriTooLong, code: "invalid_request", "The request is too long.")
        }
        guard query.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw FormParameters.invalid("The request is not well formed.")
        }
        let parameters = try FormParameters(query.utf8)
        let client =
            if let id = parameters["client_id"] { try await self.clients.client(id) } else { nil as OAuth2Client? }
        return try AuthorizationRequest(parameters, query: query, client: client)
    }

    /// To the login page, which comes back here with the same request.
    private static func signIn(_ query: String) -> Response {
        WebPage.redirect(to: LoginEndpoint.path(then: "\(AuthorizationRequest.path)?\(query)"))
    }

    private func grant(
        _ asked: AuthorizationRequest, _ place: AuthorizationRequest.Place, _ user: User, _ context: APIContext
    ) async throws -> Response {
        let consent = AuthorizationCodes.Consent(
            client: asked.client.id, user: user.id, redirectURI: asked.redirectURI.text, challenge: asked.challenge,
            tenant: place.tenant, station: place.station, scopes: place.scopes)
        let entry = self.entry("authorization.grant", asked, place.tenant, user, context)
        let code = try await self.writer.write { mutation in
            guard try await user.isStillLetIn(mutation) else { throw ErrorPage.foreign }
            try await mutation.audit(entry)
            return try await AuthorizationCodes.issue(consent, mutation)
        }
        return self.answer(asked.redirectURI, [("code", code), ("state", asked.state)])
    }

    private func deny(_ asked: AuthorizationRequest, _ user: User, _ context: APIContext) async throws -> Response {
        let entry = self.entry("authorization.deny", asked, asked.tenant ?? asked.client.tenant, user, context)
        try await self.writer.write { mutation in try await mutation.audit(entry) }
        throw asked.refusal("access_denied", "The user denied the request")
    }

    private func entry(
        _ action: String, _ asked: AuthorizationRequest, _ tenant: String, _ user: User, _ context: APIContext
    ) -> AuditEntry {
        AuditEntry(
            action, tenant: tenant, actor: user.id, address: context.clientAddress, target: asked.client.id)
    }

    /// Redirects to the client with the error, but only a browser whose user has signed in: otherwise a link with our name and an error
    /// in it would lead anybody to whatever address a client has registered (RFC 9700 §4.11.2).
    private func answer(
        _ refusal: AuthorizationRequest.Refusal, query: String, session: BrowserSessions.Found?
    ) -> Response {
        guard session != nil else { return Self.signIn(query) }
        guard let uri = RedirectURI(refusal.redirectURI) else { return Response(status: .badRequest) }
        return self.answer(
            uri, [("error", refusal.code), ("error_description", refusal.description), ("state", refusal.state)])
    }

    /// With our name, so that a client of several servers knows whose answer it is (RFC 9207).
    private func answer(_ uri: RedirectURI, _ parameters: [(name: String, value: String?)]) -> Response {
        WebPage.redirect(to: uri.adding(parameters + [("iss", self.issuer)]))
    }
}
