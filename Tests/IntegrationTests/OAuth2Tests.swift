import Events
import Foundation
import TestSupport
import Testing

/// The authorization server, flow by flow, as clients and browsers meet it.
@Suite("OAuth2", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct OAuth2Tests {
    private static let email = "owner@localhost"
    static let password = LoginTests.password

    private static func reads(_ suite: Suite, _ token: String?) async throws -> Int {
        try await suite.request("GET", .auth, "/v1/auth/keys", token: token ?? "").status
    }

    /// A browser of the owner's, signed in.
    static func browser(_ suite: Suite) async throws -> OAuth2Browser {
        let browser = OAuth2Browser(suite)
        let page = try await browser.signIn(Self.email, Self.password)
        #expect(page.status == 303 && page.location == "/oauth2/login", "\(page.status) \(page.text)")
        return browser
    }

    /// The code that the owner's consent gives.
    static func code(_ browser: OAuth2Browser, _ client: OAuth2TestClient) async throws -> String {
        let page = try await browser.decide("allow", on: client.request())
        return try #require(page.parameters["code"])
    }

    // MARK: authorization code

    @Test func `a browser signs in and allows, and the client gets what was allowed`() async throws {
        try await LoginTests.with { suite in
            let client = try await OAuth2TestClient.make(suite, ["token_format": "jwt"])
            let browser = OAuth2Browser(suite)
            let path = client.request(["scope": "streams:read"])
            let asked = try await browser.get(path)
            #expect(asked.status == 303 && asked.location.hasPrefix("/oauth2/login?continue="))
            let welcomed = try await browser.signIn(Self.email, Self.password, then: path)
            #expect(welcomed.status == 303 && welcomed.location == path)
            let consent = try await browser.get(path)
            #expect(consent.status == 200 && consent.text.contains("See streams and their viewers"))
            #expect(consent.text.contains("<bdi>Panel</bdi>") && consent.text.contains("client.example"))
            #expect(!consent.text.contains("radio"))
            let allowed = try await browser.decide("allow", on: path)
            #expect(allowed.status == 303 && allowed.location.hasPrefix(OAuth2TestClient.redirect + "&code=xpac_"))
            #expect(allowed.parameters["state"] == "s&t=1")
            #expect(allowed.parameters["iss"] == "http://127.0.0.1:\(suite.port(.auth))")

            let code = try #require(allowed.parameters["code"])
            let answer = try await client.exchange(code)
            #expect(answer.status == 200, "\(answer.body)")
            #expect(answer.headers["cache-control"] == "no-store")
            #expect(answer["scope"] == "streams:read" && answer["expires_in"] == 3600)
            let token = try #require(answer["access_token"]?.string)
            let claims = try LoginTests.claims(token)
            #expect(claims["client_id"] == .string(client.id) && claims["scope"] == "streams:read")
            #expect(try await Self.reads(suite, token) == 403)

            // Rotated, narrowed, and no more than was allowed.
            let refresh = try #require(answer["refresh_token"]?.string)
            let renewed = try await client.refresh(refresh)
            #expect(renewed.status == 200 && renewed["refresh_token"] != answer["refresh_token"], "\(renewed.body)")
            let wider = try await client.refresh(
                try #require(renewed["refresh_token"]?.string), scope: "streams:read radio:read")
            #expect(wider.status == 400 && wider["error"] == "invalid_scope")
            let log = suite.log("auth")
            for secret in [code, token, refresh, client.secret ?? "", Self.password] + Array(browser.cookies.values) {
                #expect(!log.contains(secret))
            }
        }
    }

    @Test func `a public client proves itself with its verifier alone, on any port of this device`() async throws {
        try await LoginTests.with { suite in
            let client = try await OAuth2TestClient.make(
                suite, ["type": "public", "redirect_uris": ["http://127.0.0.1/cb"], "scope": "keys:write"])
            #expect(client.secret == nil)
            let browser = try await Self.browser(suite)
            let redirect = "http://127.0.0.1:49152/cb"
            let page = try await browser.decide("allow", on: client.request(["redirect_uri": redirect]))
            let code = try #require(page.parameters["code"])
            let other = try await client.exchange(code, ["redirect_uri": "http://127.0.0.1:49153/cb"])
            #expect(other["error"] == "invalid_grant")
            let answer = try await client.exchange(code, ["redirect_uri": redirect])
            #expect(answer.status == 200, "\(answer.body)")
            // Opaque, with the owner's rights as far as it was allowed.
            let token = try #require(answer["access_token"]?.string)
            #expect(token.hasPrefix("xpat_"))
            #expect(try await Self.reads(suite, token) == 200)
            let refused = try await client.send("/oauth2/token", [("grant_type", "client_credentials")])
            #expect(refused.status == 400 && refused["error"] == "unauthorized_client")
            let introspection = try await client.send("/oauth2/introspect", [("token", token)])
            #expect(introspection.status == 401 && introspection["error"] == "invalid_client")
        }
    }

    @Test func `a code is good once: shown again it ends what it gave`() async throws {
        try await LoginTests.with { suite in
            let client = try await OAuth2TestClient.make(suite, ["scope": "keys:write"])
            let browser = try await Self.browser(suite)
            let code = try await Self.code(browser, client)
            let first = try await client.exchange(code)
            #expect(try await Self.reads(suite, first["access_token"]?.string) == 200)
            // A stranger who found it ends nothing.
            let stranger = try await OAuth2TestClient.make(suite)
            #expect(try await stranger.exchange(code)["error"] == "invalid_grant")
            #expect(try await Self.reads(suite, first["access_token"]?.string) == 200)
            let again = try await client.exchange(code)
            #expect(again.status == 400 && again["error"] == "invalid_grant")
            #expect(try await Self.reads(suite, first["access_token"]?.string) == 401)
            #expect(try await client.refresh(try #require(first["refresh_token"]?.string))["error"] == "invalid_grant")

            // Many at once: one wins, and loses it again.
            let raced = try await Self.code(browser, client)
            let answers = try await withThrowingTaskGroup(of: Suite.Answer.self) { group in
                for _ in 0..<8 { group.addTask { try await client.exchange(raced) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count { $0.status == 200 } == 1)
            let won = answers.first { $0.status == 200 }?["access_token"]?.string
            #expect(try await Self.reads(suite, won) == 401)
        }
    }

    @Test func `a denied request gets no code, and one for nothing is not asked`() async throws {
        try await LoginTests.with { suite in
            let client = try await OAuth2TestClient.make(suite)
            let browser = try await Self.browser(suite)
            let denied = try await browser.decide("deny", on: client.request())
            #expect(denied.status == 303 && denied.parameters["error"] == "access_denied")
            #expect(denied.parameters["state"] == "s&t=1" && denied.parameters["code"] == nil)
            let elsewhere = try await browser.get(client.request(["tenant": "elsewhere"]))
            #expect(elsewhere.parameters["error"] == "invalid_scope")
        }
    }

    @Test func `somebody who may do different things in two channels is told so`() async throws {
        try await LoginTests.with { suite in
            try await AccountsTests.channel(suite, "north")
            let (wide, narrow) = (AccountsTests.role("default", "manager"), AccountsTests.role("north", "viewer"))
            _ = try await AccountsTests.make(suite, "a@x", [wide, narrow])
            let client = try await OAuth2TestClient.make(suite, ["scope": "radio:read radio:write"])
            let browser = OAuth2Browser(suite)
            try await browser.signIn("a@x", AccountsTests.password)
            let page = try await browser.get(client.request())
            #expect(page.text.contains("<p class=\"quiet\">Of these, what you may do there yourself.</p>"))
            #expect(!page.text.contains("&lt;"))
        }
    }

    // MARK: clients

    @Test func `clients are listed, shown, and revoked with all that came from them`() async throws {
        try await LoginTests.with { suite in
            let owner = try suite.ownerKey
            let client = try await OAuth2TestClient.make(
                suite,
                ["grants": ["client_credentials", "authorization_code", "refresh_token"], "scope": "keys:write"])
            let shown = try await suite.request("GET", .auth, "/v1/oauth2/clients/\(client.id)", token: owner)
            #expect(shown.status == 200 && shown["client_secret"] == nil && shown["type"] == "confidential")
            #expect(shown["grants"] == ["client_credentials", "authorization_code", "refresh_token"])
            #expect(shown["redirect_uris"] == [.string(OAuth2TestClient.redirect)])
            let list = try await suite.request("GET", .auth, "/v1/oauth2/clients?limit=1", token: owner)
            #expect(list["data"]?.array?.map { $0["client_id"] } == [.string(client.id)])
            #expect(list["pagination"]?["has_more"] == false)

            let own = try await client.send("/oauth2/token", [("grant_type", "client_credentials")])
            let token = try #require(own["access_token"]?.string)
            let made = try await suite.request(
                "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["keys:write"]], token: token)
            let key = try #require(made["key"]?.string)
            let browser = try await Self.browser(suite)
            let session = try await client.exchange(try await Self.code(browser, client))
            let held = [token, key, try #require(session["access_token"]?.string)]
            for credential in held { #expect(try await Self.reads(suite, credential) == 200) }
            let pending = try await Self.code(browser, client)
            // Made with the owner's rights, but by the client.
            let child = try await suite.request(
                "POST", .auth, "/v1/oauth2/clients", ["name": "c", "scope": "keys:write"], token: held[2])
            let childPath = "/v1/oauth2/clients/\(try #require(child["client_id"]?.string))"

            let path = "/v1/oauth2/clients/\(client.id)"
            #expect(try await suite.request("DELETE", .auth, path, token: owner).status == 204)
            for credential in held { #expect(try await Self.reads(suite, credential) == 401) }
            #expect(try await client.exchange(pending)["error"] == "invalid_client")
            #expect(
                try await client.refresh(try #require(session["refresh_token"]?.string))["error"] == "invalid_client")
            #expect(try await browser.get(client.request()).status == 400)
            let revoked = try await suite.events(.auth, "auth.revoked", room: "", token: owner)
            #expect(revoked.map { $0["kind"] } == ["client", "apikey", "client"])
            #expect(try await suite.request("GET", .auth, childPath, token: owner)["revoked_at"]?.string != nil)
            #expect(try await suite.request("GET", .auth, path, token: owner)["revoked_at"]?.string != nil)
            #expect(try await suite.request("DELETE", .auth, path, token: owner).status == 404)
        }
    }

    @Test func `a client's own token is a JWT if the client was made so`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let client = try await OAuth2TestClient.make(
                suite, ["grants": ["client_credentials"], "redirect_uris": [], "token_format": "jwt"])
            let answer = try await client.send(
                "/oauth2/token", [("grant_type", "client_credentials"), ("scope", "radio:read")])
            let claims = try LoginTests.claims(try #require(answer["access_token"]?.string))
            #expect(claims["sub"] == .string(client.id) && claims["client_id"] == .string(client.id))
            #expect(claims["scope"] == "radio:read" && answer["refresh_token"] == nil)
        }
    }

    // MARK: introspection, revocation, metadata

    @Test func `introspection tells of every kind of token of one's own tenant, and of no other`() async throws {
        try await LoginTests.with { suite in
            let owner = try suite.ownerKey
            let client = try await OAuth2TestClient.make(suite)
            let session = try await client.exchange(try await Self.code(try await Self.browser(suite), client))
            let opaque = try #require(session["access_token"]?.string)
            let refresh = try #require(session["refresh_token"]?.string)
            let issuer = JSON.string("http://127.0.0.1:\(suite.port(.auth))")
            for token in [opaque, refresh] {
                let answer = try await client.introspect(token)
                #expect(answer["active"] == true && answer["scope"] == "radio:read streams:read", "\(answer)")
                #expect(answer["client_id"] == .string(client.id) && answer["tenant"] == "default")
                #expect(answer["iss"] == issuer && answer["sub"]?.string != nil && answer["exp"] != nil)
            }
            let (jwt, key) = (try await suite.token(scope: "radio:read"), try await suite.token("apikey"))
            for token in [jwt, key] {
                let answer = try await client.introspect(token)
                #expect(answer["active"] == true && answer["jti"]?.string != nil && answer["aud"] != nil, "\(answer)")
            }
            // By a bearer credential that may make keys, too.
            let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", "Bearer \(owner)")]
            let byOwner = try await HTTPClient.request(
                "POST", port: suite.port(.auth), path: "/oauth2/introspect", headers: form,
                body: Array("token=\(opaque)".utf8))
            #expect(JSON(parsing: byOwner.body)?["active"] == true)
            let reader = [form[0], ("Authorization", "Bearer \(jwt)")]
            let byReader = try await HTTPClient.request(
                "POST", port: suite.port(.auth), path: "/oauth2/introspect", headers: reader,
                body: Array("token=\(opaque)".utf8))
            #expect(byReader.status == 403 && JSON(parsing: byReader.body)?["error"] == "insufficient_scope")

            let theirs = try await suite.token(tenant: "theirs", scope: "*")
            let ticket = try await suite.request("POST", .auth, "/v1/tickets", token: owner)
            let used = try await client.refresh(refresh)
            #expect(used.status == 200)
            let secrets = [theirs, refresh, ticket["ticket"]?.string, client.secret, "x", "a.b.c", "' OR 1=1 --"]
            for token in secrets.compactMap(\.self) { #expect(try await client.introspect(token) == ["active": false]) }
        }
    }

    @Test func `a client gives its own tokens back, and nobody else's`() async throws {
        try await LoginTests.with { suite in
            let client = try await OAuth2TestClient.make(suite, ["scope": "keys:write", "token_format": "jwt"])
            let stranger = try await OAuth2TestClient.make(suite)
            let browser = try await Self.browser(suite)
            let session = try await client.exchange(try await Self.code(browser, client))
            let (token, refresh) = (
                try #require(session["access_token"]?.string), try #require(session["refresh_token"]?.string)
            )
            for mine in [token, refresh] {
                let refused = try await stranger.send("/oauth2/revoke", [("token", mine)])
                #expect(refused.status == 400 && refused["error"] == "invalid_grant")
            }
            #expect(try await Self.reads(suite, token) == 200)
            // The hint is wrong, and does not matter.
            let hint: (String, String?) = ("token_type_hint", "refresh_token")
            #expect(try await client.send("/oauth2/revoke", [("token", token), hint]).status == 200)
            #expect(try await Self.reads(suite, token) == 401)
            let renewed = try await client.refresh(refresh)
            let (next, last) = (renewed["access_token"]?.string, renewed["refresh_token"]?.string)
            #expect(try await Self.reads(suite, next) == 200)
            #expect(try await client.send("/oauth2/revoke", [("token", last)]).status == 200)
            #expect(try await Self.reads(suite, next) == 401)
            #expect(try await client.refresh(try #require(last))["error"] == "invalid_grant")
            for gone in [token, try #require(last), "xpat_nothing", "xprt_nothing", "a.b.c", "nothing"] {
                #expect(try await client.send("/oauth2/revoke", [("token", gone)]).status == 200)
            }
            let revoked = try await suite.events(.auth, "auth.revoked", room: "", token: try suite.ownerKey)
            #expect(revoked.map { $0["kind"] } == ["token", "session"])
        }
    }

    @Test func `the metadata names what is there`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let issuer = "http://127.0.0.1:\(suite.port(.auth))"
            let answer = try await suite.request("GET", .auth, "/.well-known/oauth-authorization-server")
            #expect(answer.status == 200 && answer["issuer"] == .string(issuer))
            #expect(answer["code_challenge_methods_supported"] == ["S256"])
            for (name, value) in try #require(answer.body.object) {
                guard name.hasSuffix("_endpoint") || name.hasSuffix("_uri") || name == "service_documentation" else {
                    continue
                }
                let path = try #require(value.string?.dropFirst(issuer.count))
                let method =
                    ["jwks_uri", "service_documentation", "authorization_endpoint"].contains(name) ? "GET" : "POST"
                let there = try await suite.request(method, .auth, String(path))
                #expect([200, 400].contains(there.status), "\(name) \(there.status)")
            }
        }
    }
}
