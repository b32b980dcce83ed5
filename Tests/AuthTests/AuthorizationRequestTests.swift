import Events
import HTTPTypes
import ServiceKit
import Testing

@testable import Auth

@Suite struct AuthorizationRequestTests {
    /// RFC 7636, appendix B.
    private static let (verifier, challenge) = (
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )

    private static let redirect = "https://client.example/cb"

    private static func client(
        _ grants: Set<GrantType> = [.authorizationCode], stations: Set<String>? = nil, tenant: String = "a"
    ) -> OAuth2Client {
        OAuth2Client(
            id: "c", name: "c", tenant: tenant, scopes: ["radio:read", "streams:*"], stations: stations, grants: grants,
            redirectURIs: [Self.redirect])
    }

    private static let good = [
        "client_id=c", "redirect_uri=https://client.example/cb", "response_type=code", "code_challenge=\(challenge)",
        "code_challenge_method=S256", "state=s",
    ]

    /// What becomes of a good request with one parameter replaced, removed (`name=`) or added.
    private static func outcome(_ change: String, client: OAuth2Client? = Self.client()) throws -> String {
        let name = change.prefix { $0 != "=" }
        let query = (Self.good.filter { !$0.hasPrefix("\(name)=") } + [change]).joined(separator: "&")
        do {
            let request = try AuthorizationRequest(try FormParameters(query.utf8), query: query, client: client)
            return request.scopes.claim
        } catch let refusal as AuthorizationRequest.Refusal {
            #expect(refusal.redirectURI == Self.redirect)
            return "\(refusal.code) \(refusal.state ?? "-")"
        } catch let failure as APIFailure {
            return "page \(failure.status.code)"
        }
    }

    @Test(
        arguments: [
            ("state=s", "radio:read streams:*"), ("scope=streams:read", "streams:read"),
            ("foo=bar", "radio:read streams:*"),
            ("tenant=a", "radio:read streams:*"), ("redirect_uri=", "page 400"),
            ("redirect_uri=https://client.example/cb/", "page 400"),
            ("redirect_uri=https://evil.example/cb", "page 400"),
            ("response_type=", "invalid_request s"), ("response_type=token", "unsupported_response_type s"),
            ("response_mode=fragment", "invalid_request s"), ("code_challenge=", "invalid_request s"),
            ("code_challenge=\(challenge)a", "invalid_request s"),
            ("code_challenge=\(challenge.dropLast())~", "invalid_request s"),
            ("code_challenge_method=", "invalid_request s"), ("code_challenge_method=plain", "invalid_request s"),
            ("code_challenge_method=s256", "invalid_request s"),
            ("scope=streams:write%20auth:admin", "invalid_scope s"),
            ("scope=*", "invalid_scope s"), ("scope=%20", "invalid_scope s"), ("scope=radio", "invalid_scope s"),
            ("tenant=a%20b", "invalid_request s"), ("station=%27--", "invalid_request s"),
            ("state=\(String(repeating: "s", count: 1025))", "invalid_request -"),
        ])
    func `a request is read, or refused at the right place`(change: String, outcome: String) throws {
        #expect(try Self.outcome(change) == outcome)
    }

    @Test(arguments: ["client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "foo"])
    func `a parameter that comes twice is refused`(name: String) throws {
        let query = Self.good.joined(separator: "&") + "&\(name)=x&\(name)=x"
        let parameters = try FormParameters(query.utf8)
        if ["client_id", "redirect_uri"].contains(name) {
            #expect(throws: APIFailure.self) {
                try AuthorizationRequest(parameters, query: query, client: Self.client())
            }
        } else {
            let refusal = #expect(throws: AuthorizationRequest.Refusal.self) {
                try AuthorizationRequest(parameters, query: query, client: Self.client())
            }
            #expect(refusal?.code == "invalid_request" && refusal?.state == (name == "state" ? nil : "s"))
        }
    }

    @Test func `an unknown client gets a page, one without the grant is told`() throws {
        #expect(try Self.outcome("state=s", client: nil) == "page 400")
        #expect(try Self.outcome("state=s", client: Self.client([.clientCredentials])) == "unauthorized_client s")
    }

    @Test func `the challenge is the verifier's SHA-256`() {
        #expect(PKCE.challenge(of: Self.verifier) == Self.challenge)
        #expect(PKCE.isChallenge(Self.challenge) && PKCE.isVerifier(Self.verifier))
        for text in ["", String(repeating: "a", count: 42), String(repeating: "a", count: 129), Self.verifier + "+"] {
            #expect(!PKCE.isVerifier(text), "\(text)")
        }
    }

    // MARK: places

    private static func places(of user: User, _ change: String = "x=y", client: OAuth2Client = Self.client()) throws
        -> [String]
    {
        let query = (Self.good + [change]).joined(separator: "&")
        return try AuthorizationRequest(try FormParameters(query.utf8), query: query, client: client)
            .places(of: user).map { "\($0.value) \($0.scopes.claim)" }
    }

    @Test func `a place is where the user has any of it, with what they have`() throws {
        let user = User(
            id: "u", email: "u@example.com", name: "U", isOwner: false,
            memberships: [
                Membership(tenant: "a", role: .viewer), Membership(tenant: "b", role: .admin),
                Membership(tenant: "c", station: "s1", role: .dj),
            ])
        #expect(
            try Self.places(of: user) == [
                "a radio:read streams:read", "b radio:read streams:*", "c radio:read streams:read streams:write",
            ])
        #expect(try Self.places(of: user, "tenant=b") == ["b radio:read streams:*"])
        #expect(try Self.places(of: user, "tenant=d").isEmpty)
        #expect(try Self.places(of: user, "scope=radio:read&tenant=a") == ["a radio:read"])
        #expect(
            try Self.places(of: user, "station=s1") == [
                "a/s1 radio:read streams:read", "b/s1 radio:read streams:*",
                "c/s1 radio:read streams:read streams:write",
            ])
        #expect(try Self.places(of: user, "station=s2&tenant=c").isEmpty)
        // One for some stations of a tenant has them there only.
        let limited = Self.client(stations: ["s1", "s2"], tenant: "c")
        #expect(try Self.places(of: user, client: limited) == ["c/s1 radio:read streams:read streams:write"])
        #expect(try Self.places(of: user, "station=s3", client: limited).isEmpty)
        #expect(try Self.places(of: user, "tenant=b", client: limited).isEmpty)
    }

    // MARK: pages

    @Test(
        arguments: [
            ("/oauth2/authorize?client_id=c", true), ("/oauth2/authorize?", true), ("/oauth2/authorize", false),
            ("//evil.example/oauth2/authorize?", false), ("https://evil.example/oauth2/authorize?", false),
            ("/oauth2/authorize/../login?", false), ("/\\evil.example", false), ("/oauth2/authorize?a\\b", false),
            ("/oauth2/authorize?a b", false), ("/oauth2/authorize?a\r\nX: y", false), ("javascript:alert(1)", false),
            ("/oauth2/authorize?é", false), ("/oauth2/authorize?\(String(repeating: "a", count: 9000))", false),
        ])
    func `after the sign-in it goes on to our own request and nowhere else`(path: String, isGood: Bool) {
        #expect(((try? LoginEndpoint.next(path)) == path) == isGood)
    }

    @Test func `whatever is put into a page is text`() {
        let name = "<script>alert(\"1\" & '2')</script>"
        let html: HTML = "<p title=\"\(name)\">\(name)</p>"
        let text = "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;"
        #expect(html.text == "<p title=\"\(text)\">\(text)</p>")
        let inner: HTML = "<b>\(html)</b>"
        #expect(inner.text == "<b><p title=\"\(text)\">\(text)</p></b>")
    }

    @Test func `a form's token is good for that form and that browser`() {
        let token = FormToken("cookie", purpose: "login").text
        #expect(FormToken("cookie", purpose: "login").accepts(token))
        for other in [
            FormToken("another", purpose: "login"), FormToken("cookie", purpose: "logout"),
            FormToken("cookie", purpose: "login", content: "x"),
        ] { #expect(!other.accepts(token)) }
        #expect(!FormToken("cookie", purpose: "login").accepts(nil))
        #expect(!FormToken("cookie", purpose: "login").accepts(""))
    }

    @Test func `every scope that is known has words`() {
        for scope in ScopeWords.known { #expect(ScopeWords.words(for: scope) != scope.name) }
        #expect(ScopeWords.words(for: "radio:*") == "Everything to do with radio")
        #expect(ScopeWords.words(for: "x:y") == "x:y")
    }
}
