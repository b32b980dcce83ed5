import Events
import Foundation
import TestSupport
import Testing

/// What the authorization server must refuse: each with the right status and error, and with nothing given.
@Suite("OAuth2 refuses", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct OAuth2RefusalTests {
    private static let form = ("Content-Type", "application/x-www-form-urlencoded")

    @Test func `a request for authorization that is wrong never leads to a stranger`() async throws {
        try await LoginTests.with { suite in
            let client = try await OAuth2TestClient.make(suite)
            let machine = try await OAuth2TestClient.make(
                suite, ["grants": ["client_credentials"], "redirect_uris": []])
            let browser = OAuth2Browser(suite)
            let good = OAuth2TestClient.redirect
            // To people, on a page.
            var paths = [
                "client_id": [nil, "", "none", "' OR 1=1 --", "<script>", machine.id],
                "redirect_uri": [
                    nil, "", good + "/", good + "&y=2", good + "#a", good.uppercased(), "https://client.example/cb",
                    "https://user@client.example/cb?x=1", "https://client.example.evil.example/cb?x=1",
                    "http://client.example/cb?x=1", "//client.example/cb?x=1", "javascript:alert(1)",
                    "https://client.example/cb?x=1\r\nX: y", "https://client.example/cb?x=\0",
                ],
            ].flatMap { name, values in values.map { client.request([name: $0]) } }
            paths += ["/oauth2/authorize", "/oauth2/authorize?"]
            paths += ["client_id=x", "redirect_uri=https://evil.example"].map { client.request() + "&\($0)" }
            paths += [client.request() + "&x=%FF", client.request() + "&x=%zz", client.request() + "&x=%00"]
            for path in paths {
                let page = try await browser.get(path)
                #expect(page.status == 400 && page.location.isEmpty, "\(path): \(page.status) \(page.location)")
                #expect(page.headers["content-type"] == "text/html; charset=utf-8")
                #expect(!page.text.contains("<script"))
            }
            let long = try await browser.get(client.request() + "&x=" + String(repeating: "a", count: 9000))
            #expect((400..<500).contains(long.status) && long.location.isEmpty)
            // To the client, once somebody has signed in.
            let owner = try await OAuth2Tests.browser(suite)
            for (changes, error) in [
                (["response_type": nil], "invalid_request"), (["response_type": "token"], "unsupported_response_type"),
                (["code_challenge": nil], "invalid_request"), (["code_challenge_method": "plain"], "invalid_request"),
                (["code_challenge_method": nil], "invalid_request"), (["scope": "*"], "invalid_scope"),
                (["scope": "auth:admin"], "invalid_scope"), (["tenant": "a b"], "invalid_request"),
                (["station": "'; DROP TABLE users --"], "invalid_request"),
            ] as [([String: String?], String)] {
                let path = client.request(changes)
                let login = try await browser.get(path)
                #expect(login.status == 303 && login.location.hasPrefix("/oauth2/login?"), "\(changes)")
                #expect(login.parameters["continue"] == path, "\(changes)")
                let form = [("request", String(path.split(separator: "?")[1])), ("decision", "allow")]
                let posted = try await browser.post("/oauth2/authorize", form)
                #expect(posted.status == 303 && posted.location == login.location, "\(changes)")
                let page = try await owner.get(path)
                #expect(page.status == 303 && page.location.hasPrefix(good + "&error="), "\(changes)")
                #expect(page.parameters["error"] == error && page.parameters["state"] == "s&t=1", "\(changes)")
                #expect(page.parameters["iss"] == "http://127.0.0.1:\(suite.port(.auth))")
            }
            let twice = try await owner.get(client.request() + "&scope=a&scope=a")
            #expect(twice.parameters["error"] == "invalid_request")
        }
    }

    @Test func `an exchange that does not fit gives nothing, and leaves the code`() async throws {
        try await LoginTests.with { suite in
            let client = try await OAuth2TestClient.make(suite)
            let stranger = try await OAuth2TestClient.make(suite)
            let code = try await OAuth2Tests.code(try await OAuth2Tests.browser(suite), client)
            let verifier = OAuth2TestClient.verifier
            for (changes, error) in [
                (["code": nil], "invalid_request"), (["code": ""], "invalid_request"),
                (["code": "xpac_0"], "invalid_grant"),
                (["code": "' OR 1=1 --"], "invalid_grant"), (["code": code.uppercased()], "invalid_grant"),
                (["redirect_uri": nil], "invalid_request"),
                (["redirect_uri": "https://client.example/cb"], "invalid_grant"),
                (["redirect_uri": OAuth2TestClient.redirect + "/"], "invalid_grant"),
                (["redirect_uri": OAuth2TestClient.redirect.uppercased()], "invalid_grant"),
                (["code_verifier": nil], "invalid_request"), (["code_verifier": "short"], "invalid_request"),
                (["code_verifier": verifier + "="], "invalid_request"),
                (["code_verifier": String(repeating: "a", count: 129)], "invalid_request"),
                (["code_verifier": verifier + "a"], "invalid_grant"),
                (["code_verifier": verifier.lowercased()], "invalid_grant"),
                (["code_verifier": OAuth2TestClient.challenge], "invalid_grant"),
                (["grant_type": nil], "invalid_request"), (["grant_type": "password"], "unsupported_grant_type"),
                (["grant_type": "client_credentials"], "unauthorized_client"),
                (["client_secret": "x"], "invalid_request"),
            ] as [([String: String?], String)] {
                let answer = try await client.exchange(code, changes)
                #expect(answer.status == 400 && answer["error"] == .string(error), "\(changes) \(answer.body)")
                #expect(answer.headers["cache-control"] == "no-store")
            }
            #expect(try await stranger.exchange(code)["error"] == "invalid_grant")
            let wrong = OAuth2TestClient(suite: suite, id: client.id, secret: "wrong")
            let none = OAuth2TestClient(suite: suite, id: client.id, secret: nil)
            for impostor in [wrong, none] {
                let answer = try await impostor.exchange(code)
                #expect(answer.status == 401 && answer["error"] == "invalid_client")
                #expect(answer.headers["www-authenticate"]?.hasPrefix("Basic") == true)
            }
            #expect(try await client.exchange(code).status == 200)
        }
    }

    @Test func `forms that others send, or that are none, change nothing`() async throws {
        try await LoginTests.with { suite in
            let client = try await OAuth2TestClient.make(
                suite, ["name": "<script>alert('&\"')</script>\u{202E}"])
            let browser = try await OAuth2Tests.browser(suite)
            let path = client.request()
            let page = try await browser.get(path)
            // A hostile name is text.
            #expect(page.text.contains("<bdi>&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;"))
            #expect(!page.text.contains("<script"))
            let policy = try #require(page.headers["content-security-policy"])
            for part in ["default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'", "base-uri 'none'"] {
                #expect(policy.contains(part))
            }
            #expect(page.headers["x-content-type-options"] == "nosniff")
            #expect(page.headers["referrer-policy"] == "no-referrer" && page.headers["cache-control"] == "no-store")
            let (request, csrf, place) = (page.field("request"), page.field("csrf"), page.field("place"))
            func decide(
                _ changes: [String: String?] = [:], headers: [(String, String)] = []
            ) async throws -> OAuth2Browser.Page {
                var fields = ["request": request, "csrf": csrf, "place": place, "decision": "allow"]
                for (name, value) in changes { fields.updateValue(value, forKey: name) }
                return try await browser.post("/oauth2/authorize", fields.map { ($0.key, $0.value) }, headers: headers)
            }
            let another = try await OAuth2TestClient.make(suite)
            for changes in [
                ["csrf": nil], ["csrf": ""], ["csrf": "x"], ["csrf": csrf?.uppercased()],
                ["request": another.request().split(separator: "?").last.map(String.init)], ["place": "theirs"],
                ["place": nil], ["decision": nil], ["decision": "yes"], ["request": nil], ["request": "%FF"],
            ] as [[String: String?]] {
                let answer = try await decide(changes)
                #expect((400..<500).contains(answer.status) && answer.location.isEmpty, "\(changes) \(answer.status)")
            }
            for headers in [
                [("Origin", "https://evil.example")], [("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
                [("Sec-Fetch-Site", "same-site")], [("Origin", "http://127.0.0.1.evil.example:\(suite.port(.auth))")],
            ] {
                #expect(try await decide(headers: headers).status == 403, "\(headers)")
            }
            // Another browser's form.
            let other = try await OAuth2Tests.browser(suite)
            let stolen = try await other.post(
                "/oauth2/authorize", [("request", request), ("csrf", csrf), ("place", place), ("decision", "allow")])
            #expect(stolen.status == 403)
            // No form at all.
            let types = ["application/json", "text/plain", "multipart/form-data; boundary=x"]
            for path in ["/oauth2/authorize", "/oauth2/login", "/oauth2/logout"] {
                for type in types {
                    let answer = try await browser.send("POST", path, [("Content-Type", type)], Array("{}".utf8))
                    #expect((400..<500).contains(answer.status), "\(path) \(type)")
                }
                let long = try await browser.send("POST", path, [Self.form], Array(repeating: 97, count: 20_000))
                #expect(long.status == 413)
                let bytes = try await browser.send("POST", path, [Self.form], [0x61, 0x3D, 0xC3, 0x28])
                #expect(bytes.status == 400)
                let twice = try await browser.send("POST", path, [Self.form], Array("csrf=a&csrf=a".utf8))
                #expect(twice.status == 400)
                #expect(try await browser.send("DELETE", path).status == 405)
            }
            // And still: the same form, as it should be.
            #expect(try await decide(headers: [("Origin", "null"), ("Sec-Fetch-Site", "same-origin")]).status == 303)
        }
    }

    @Test func `a sign-in leads nowhere else, tells nothing, and is slowed down`() async throws {
        try await LoginTests.with { suite in
            let browser = OAuth2Browser(suite)
            for next in [
                "https://evil.example/", "//evil.example", "/\\evil.example", "/oauth2/authorize", "/v1/tokens",
                "/oauth2/authorize?a\r\nX: y", "javascript:alert(1)", "/oauth2/authorize?\\",
            ] {
                let page = try await browser.get("/oauth2/login?continue=\(OAuth2Browser.escape(next))")
                #expect(page.status == 400, "\(next)")
                let answer = try await browser.signIn("owner@localhost", LoginTests.password, then: next)
                #expect(answer.status >= 400 && answer.location.isEmpty, "\(next)")
            }
            let page = try await browser.get("/oauth2/login")
            let visitor = browser.cookies
            let withoutToken = try await browser.post(
                "/oauth2/login", [("email", "owner@localhost"), ("password", LoginTests.password)])
            #expect(withoutToken.status == 403 && browser.cookies["crosspoint_session"] == nil)
            // A session that somebody planted in the browser does not become the user's.
            browser.cookies["crosspoint_session"] = String(repeating: "a", count: 64)
            let signedIn = try await browser.signIn("owner@localhost", LoginTests.password)
            let cookie = try #require(signedIn.headers["set-cookie"]?.split(separator: "\n").first)
            for flag in ["HttpOnly", "SameSite=Lax", "Path=/oauth2", "Max-Age=43200"] { #expect(cookie.contains(flag)) }
            #expect(!cookie.contains("Secure") && !cookie.contains("aaaa"))
            #expect(browser.cookies["crosspoint_visitor"] == nil && visitor["crosspoint_visitor"] != nil)
            let session = try #require(browser.cookies["crosspoint_session"])

            // Out, by nobody else's form; then the cookie is worth nothing.
            let account = try await browser.get("/oauth2/login")
            #expect(account.text.lowercased().contains("owner@localhost"))
            #expect(try await browser.post("/oauth2/logout", [("csrf", page.field("csrf"))]).status == 403)
            #expect(try await browser.post("/oauth2/logout", [("csrf", account.field("csrf"))]).status == 303)
            #expect(browser.cookies["crosspoint_session"] == nil)
            browser.cookies["crosspoint_session"] = session
            #expect(try await browser.get("/oauth2/login").text.contains("password"))

            browser.cookies = [:]
            var texts: Set<String> = []
            for email in ["owner@localhost", "nobody@localhost", "' OR 1=1 --"] {
                let answer = try await browser.signIn(email, "wrong")
                #expect(answer.status == 403)
                let alert = answer.text.firstMatch(of: /role="alert">([^<]*)</).map { String($0.1) }
                texts.insert(try #require(alert))
            }
            #expect(texts.count == 1)
            var last = page
            for _ in 0..<8 where last.status != 429 { last = try await browser.signIn("owner@localhost", "wrong") }
            #expect(last.status == 429 && last.headers["retry-after"] != nil && last.text.contains("Try again in"))
            #expect(!suite.log("auth").contains(#""level":"error""#))
        }
    }

    @Test func `a client that may not be is not made`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let owner = try suite.ownerKey
            let keys = try await suite.token(scope: "keys:write radio:read")
            let base: [String: JSON] = ["name": "c", "scope": "radio:read"]
            let code: [String: JSON] = ["grants": ["authorization_code"]]
            let bad: [[String: JSON]] = [
                ["name": ""], ["name": "a\u{0}"], ["scope": ""], ["scope": "radio"], ["grants": []],
                ["grants": ["password"]], ["grants": ["refresh_token"]], ["grants": "client_credentials"],
                ["grants": ["client_credentials", "refresh_token"]], ["type": "public"], ["type": "secret"],
                ["token_format": "saml"], ["redirect_uris": ["https://a.example/"]], ["more": 1], code,
                code.merging(["redirect_uris": []]) { $1 },
                code.merging(["redirect_uris": ["http://a.example/"]]) { $1 },
                code.merging(["redirect_uris": ["https://a.example/#f"]]) { $1 },
                code.merging(["redirect_uris": .array((0..<11).map { .string("https://a.example/\($0)") })]) { $1 },
                code.merging(["redirect_uris": ["https://a.example/", "https://a.example/"]]) { $1 },
                ["type": "public", "grants": ["client_credentials"]],
            ]
            for changes in bad {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/oauth2/clients", .object(base.merging(changes) { $1 }), token: owner)
                #expect(answer.status == 400 && answer.body["error"]?["code"] == "VALIDATION_ERROR", "\(changes)")
                #expect(answer.body["error"]?["details"]?["field"]?.string != nil, "\(changes)")
            }
            for changes in [["scope": "*"], ["scope": "auth:admin"], ["tenant": "theirs"]] as [[String: JSON]] {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/oauth2/clients", .object(base.merging(changes) { $1 }), token: keys)
                #expect(answer.status == 403, "\(changes)")
            }
            let list = try await suite.request("GET", .auth, "/v1/oauth2/clients", token: owner)
            #expect(list["data"] == [])
            // Those with more than theirs are not shown to them.
            let made = try await suite.request(
                "POST", .auth, "/v1/oauth2/clients", ["name": "c", "scope": "auth:admin"], token: owner)
            let path = "/v1/oauth2/clients/\(try #require(made["client_id"]?.string))"
            #expect(try await suite.request("GET", .auth, path, token: keys).status == 404)
            #expect(try await suite.request("DELETE", .auth, path, token: keys).status == 404)
            #expect(try await suite.request("GET", .auth, path, token: owner).status == 200)
        }
    }
}
