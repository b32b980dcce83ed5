import Events
import Foundation
import TestSupport
import Testing

/// Authorization codes and pages in wrong hands. Each case has a fresh code of its own, which was good.
@Suite("Hostile codes and forms", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct HostileCodeTests {
    /// RFC 7636, appendix B.
    private static let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    private static let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

    private struct Misuse {
        let name: String
        /// Instead of the right ones; `nil`: left out.
        var changes: [String: String?] = [:]
        var error = "invalid_grant"
    }

    private static let misuses = [
        Misuse(name: "another verifier", changes: ["code_verifier": String(repeating: "a", count: 43)]),
        Misuse(name: "the challenge as the verifier", changes: ["code_verifier": Self.challenge]),
        Misuse(
            name: "the verifier but for its last letter", changes: ["code_verifier": String(verifier.dropLast()) + "l"]),
        // RFC 7636 §4.6 has invalid_grant for values that differ; what cannot be one is malformed, and RFC 6749 §5.2 has another word.
        Misuse(name: "a verifier that is too short", changes: ["code_verifier": "abc"], error: "invalid_request"),
        Misuse(
            name: "a verifier that is too long", changes: ["code_verifier": String(repeating: "a", count: 129)],
            error: "invalid_request"),
        Misuse(
            name: "a verifier of other letters", changes: ["code_verifier": String(verifier.dropLast()) + "+"],
            error: "invalid_request"),
        Misuse(name: "no verifier", changes: ["code_verifier": nil], error: "invalid_request"),
        Misuse(name: "another redirect_uri", changes: ["redirect_uri": "http://127.0.0.1:9/other"]),
        Misuse(name: "the redirect_uri in capitals", changes: ["redirect_uri": "http://127.0.0.1:9/CALLBACK"]),
        Misuse(name: "the redirect_uri and a query", changes: ["redirect_uri": "\(HostileStage.redirect)?x=1"]),
        Misuse(
            name: "another client", changes: ["client_id": "<machine.id>", "client_secret": "<machine.secret>"],
            // It may not use codes at all, which is found first.
            error: "unauthorized_client"),
        Misuse(
            name: "another client that may use codes",
            changes: ["client_id": "<thief.id>", "client_secret": "<thief.secret>"]),
        Misuse(name: "a public client", changes: ["client_id": "<public.id>", "client_secret": nil]),
        Misuse(
            name: "another tenant's client",
            changes: ["client_id": "<their-client.id>", "client_secret": "<their-client.secret>"]),
        Misuse(name: "without the client's secret", changes: ["client_secret": nil], error: "invalid_client"),
        Misuse(
            name: "as a refresh token",
            changes: ["grant_type": "refresh_token", "code": nil, "refresh_token": "<code>"]),
        Misuse(name: "in upper case", changes: ["code": "<CODE>"]),
        Misuse(name: "with a letter more", changes: ["code": "<code>0"]),
    ]

    private static func exchange(_ stage: HostileStage, _ code: String, _ misuse: Misuse? = nil) async throws -> (
        Int, JSON
    ) {
        var form: [String: String?] = [
            "grant_type": "authorization_code", "code": "<code>", "redirect_uri": HostileStage.redirect,
            "code_verifier": Self.verifier, "client_id": "<client.id>", "client_secret": "<client.secret>",
        ]
        for (name, value) in misuse?.changes ?? [:] { form[name] = .some(value) }
        let pairs = form.compactMap { name, value in
            value.map {
                let text = stage.fill($0.replacing("<code>", with: code).replacing("<CODE>", with: code.uppercased()))
                return "\(name)=\(text.formEncoded)"
            }
        }
        let answer = try await HTTPClient.request(
            "POST", port: stage.suite.port(.auth), path: "/oauth2/token",
            headers: [("Content-Type", "application/x-www-form-urlencoded"), ("X-Forwarded-For", stage.address())],
            body: Array(pairs.joined(separator: "&").utf8))
        return (answer.status, JSON(parsing: answer.body) ?? .null)
    }

    private static func code(_ stage: HostileStage, _ browser: inout Browser) async throws -> String {
        let place = try await browser.authorize(
            stage.authorizePath(client: "client"), email: try stage["user.email"], password: try stage["user.password"])
        guard let code = place.queryItems?.first(where: { $0.name == "code" })?.value else {
            throw Suite.Failure(description: "no code: \(place)")
        }
        stage.keep(secret: code)
        return code
    }

    private static func tokens(_ body: JSON, _ stage: HostileStage) throws -> (access: String, refresh: String) {
        let (access, refresh) = (
            try #require(body["access_token"]?.string), try #require(body["refresh_token"]?.string)
        )
        stage.keep(secret: access)
        stage.keep(secret: refresh)
        return (access, refresh)
    }

    @Test func `a code is good once, for one client, one address and one verifier`() async throws {
        try await HostileStage.with { stage in
            await stage.prepare([
                "<client.id><machine.id><thief.id><public.id><their-client.id><user.email>"
            ])
            var browser = Browser(port: stage.suite.port(.auth), address: stage.address())
            var passed = 0
            for misuse in Self.misuses {
                let (status, body) = try await Self.exchange(stage, try await Self.code(stage, &browser), misuse)
                let due = misuse.error == "invalid_client" ? 401 : 400
                let isRefused = status == due && body["error"] == .string(misuse.error)
                #expect(isRefused, "codes: \(misuse.name): \(status) \(body)")
                if isRefused { passed += 1 }
            }
            print("Hostile, codes: \(passed) of \(Self.misuses.count) as they should be")

            let code = try await Self.code(stage, &browser)
            let (status, body) = try await Self.exchange(stage, code)
            #expect(status == 200, "\(body)")
            let (access, refresh) = try Self.tokens(body, stage)
            let (again, replayed) = try await Self.exchange(stage, code)
            #expect(again == 400 && replayed["error"] == "invalid_grant", "\(replayed)")
            // RFC 6749, section 4.1.2: what a copied code brought, ends.
            try await stage.expectRefusal(
                access, "the first token of a code that came twice", at: ["auth", "stream-metrics"])
            let misuse = Misuse(
                name: "", changes: ["grant_type": "refresh_token", "refresh_token": refresh, "code": nil])
            #expect(try await Self.exchange(stage, "", misuse).1["error"] == "invalid_grant")
            for cookie in browser.cookies.values { stage.keep(secret: cookie) }
        }
    }

    @Test func `a form of another browser, or without its token, does nothing`() async throws {
        try await HostileStage.with { stage in
            await stage.prepare(["<client.id><user.email>"])
            let (email, password) = (try stage["user.email"], try stage["user.password"])
            let path = try stage.authorizePath(client: "client")
            let before = try await stage.state()
            let foreign = try await Self.loginForm(stage, path).form
            /// No code, no redirect to the client, and the browser is still nobody.
            func expectNothing(_ name: String, _ answer: HTTPClient.Answer, _ browser: Browser) async throws {
                var browser = browser
                #expect((400..<500).contains(answer.status), "forms: \(name): \(answer.status)")
                #expect(answer.headers["location"] == nil, "forms: \(name) is sent on")
                let page = try await browser.follow(try await browser.get(path))
                #expect(try Browser.form(page).hasPassword, "forms: \(name) has signed in")
            }
            let hidden = foreign.fields.filter { !$0.value.isEmpty }.map(\.name)
            #expect(!hidden.isEmpty, "the form has no token")
            for name in hidden {
                for (how, value) in [
                    ("left out", nil), ("empty", ""), ("another", "0"), ("of another browser", foreign[name]),
                ] {
                    var (browser, form) = try await Self.loginForm(stage, path)
                    // The same in both browsers: then it is no token.
                    if form[name] == foreign[name] { continue }
                    form.fields.removeAll { $0.name == name }
                    if let value { form.fields.append((name, value)) }
                    let answer = try await browser.fill(form, email: email, password: password)
                    try await expectNothing("\(name) \(how)", answer, browser)
                }
            }
            var (browser, form) = try await Self.loginForm(stage, path)
            browser.forgetCookies()
            try await expectNothing(
                "no cookie", try await browser.fill(form, email: email, password: password), browser)
            (browser, form) = try await Self.loginForm(stage, path)
            let wrong = try await browser.fill(form, email: email, password: "not it, by far")
            #expect(wrong.headers["location"] == nil && wrong.status < 500, "forms: a wrong password: \(wrong.status)")
            #expect(!String(decoding: wrong.body, as: UTF8.self).contains("not it, by far"))
            (browser, form) = try await Self.loginForm(stage, path)
            let sql = try await browser.fill(form, email: "' OR 1=1 --", password: "' OR 1=1 --")
            #expect(sql.headers["location"] == nil && sql.status < 500, "forms: SQL: \(sql.status)")

            // The consent: without its token, and by somebody who never saw the page.
            (browser, form) = try await Self.loginForm(stage, path)
            let consent = try await browser.follow(try await browser.fill(form, email: email, password: password))
            let asked = try Browser.form(consent)
            let yes = try #require(asked.buttons.first { $0.text.lowercased().contains(/allow|approve|accept/) })
            let button = (name: yes.name, value: yes.value)
            var stranger = Browser(port: stage.suite.port(.auth), address: stage.address())
            let theirs = try await stranger.post(asked.action, asked.fields + [button])
            #expect(theirs.headers["location"]?.contains("code=") != true, "forms: a consent without a session")
            var other = try await Self.loginForm(stage, path)
            _ = try await other.browser.fill(other.form, email: email, password: password)
            let crossed = try await other.browser.post(asked.action, asked.fields + [button])
            #expect((400..<500).contains(crossed.status), "forms: a consent of another session: \(crossed.status)")
            for field in asked.fields where field.value.utf8.count >= 16 {
                let rest = asked.fields.filter { $0.name != field.name }
                let answer = try await browser.post(asked.action, rest + [button])
                #expect(answer.headers["location"]?.contains("code=") != true, "forms: a consent without \(field.name)")
            }
            let logout = try await browser.post("/oauth2/logout", [])
            #expect((400..<500).contains(logout.status), "forms: a logout without a token: \(logout.status)")
            let still = try await browser.follow(try await browser.get(path))
            #expect(try !Browser.form(still).hasPassword, "forms: signed out by a form without a token")
            #expect(try await stage.state().filter { $0.hasPrefix("/") } == before.filter { $0.hasPrefix("/") })
        }
    }

    private static func loginForm(_ stage: HostileStage, _ path: String) async throws -> (
        browser: Browser, form: Browser.Form
    ) {
        var browser = Browser(port: stage.suite.port(.auth), address: stage.address())
        let page = try await browser.follow(try await browser.get(path))
        return (browser, try Browser.form(page))
    }
}
