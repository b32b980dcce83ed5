import Events
import Foundation
import TestSupport
import Testing

/// A browser without JavaScript: one person's cookies, the forms of the pages, redirects read but not followed.
final class OAuth2Browser {
    struct Page {
        let status: Int
        let headers: [String: String]
        let text: String

        var location: String { self.headers["location"] ?? "" }

        /// The value of a hidden field or of the chosen option, as a browser would send it.
        func field(_ name: String) -> String? {
            let hidden = try? Regex("name=\"\(name)\" value=\"([^\"]*)\"", as: (Substring, Substring).self)
            return hidden.flatMap { self.text.firstMatch(of: $0) }.map { Self.unescape(String($0.1)) }
        }

        private static func unescape(_ text: String) -> String {
            text.replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"")
                .replacing("&#39;", with: "'").replacing("&amp;", with: "&")
        }

        /// The parameters of where it leads to.
        var parameters: [String: String] {
            let items = URLComponents(string: self.location)?.queryItems ?? []
            return Dictionary(items.map { ($0.name, $0.value ?? "") }) { first, _ in first }
        }
    }

    let suite: Suite
    var cookies: [String: String] = [:]

    init(_ suite: Suite) { self.suite = suite }

    func get(_ path: String) async throws -> Page { try await self.send("GET", path) }

    /// Sends a form as a page of ours would.
    func post(_ path: String, _ fields: [(String, String?)], headers: [(String, String)] = []) async throws -> Page {
        let body = Self.form(fields)
        return try await self.send(
            "POST", path, [("Content-Type", "application/x-www-form-urlencoded")] + headers, Array(body.utf8))
    }

    func send(
        _ method: String, _ path: String, _ headers: [(String, String)] = [], _ body: [UInt8] = []
    ) async throws -> Page {
        var headers = headers
        if !self.cookies.isEmpty {
            let pairs = self.cookies.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            headers.append(("Cookie", pairs.joined(separator: "; ")))
        }
        let answer = try await HTTPClient.request(
            method, port: self.suite.port(.auth), path: path, headers: headers, body: body)
        let page = Page(
            status: answer.status, headers: answer.headers, text: String(decoding: answer.body, as: UTF8.self))
        for cookie in (answer.headers["set-cookie"] ?? "").split(separator: "\n") { self.keep(String(cookie)) }
        return page
    }

    private func keep(_ cookie: String) {
        let pair = cookie.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard pair.count == 2 else { return }
        self.cookies[String(pair[0])] = cookie.contains("Max-Age=0") ? nil : String(pair[1])
    }

    static func form(_ fields: [(String, String?)]) -> String {
        fields.compactMap { name, value in value.map { "\(name)=\(Self.escape($0))" } }.joined(separator: "&")
    }

    static func escape(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    }

    // MARK: whole ways

    /// Signs in on the way to a request; returns where that leads.
    @discardableResult
    func signIn(_ email: String, _ password: String, then path: String? = nil) async throws -> Page {
        let query = path.map { "?continue=\(Self.escape($0))" } ?? ""
        let page = try await self.get("/oauth2/login\(query)")
        return try await self.post(
            "/oauth2/login",
            [
                ("csrf", page.field("csrf")), ("continue", page.field("continue")), ("email", email),
                ("password", password),
            ])
    }

    /// Answers the consent page of a request; returns the redirect to the client.
    func decide(_ decision: String, on path: String, place: String? = nil) async throws -> Page {
        let page = try await self.get(path)
        #expect(page.status == 200, "\(page.status) \(page.location) \(page.text)")
        return try await self.post(
            "/oauth2/authorize",
            [
                ("request", page.field("request")), ("csrf", page.field("csrf")),
                ("place", place ?? page.field("place")), ("decision", decision),
            ])
    }
}

/// An OAuth2 client as a test plays it.
struct OAuth2TestClient {
    let suite: Suite
    let id: String
    let secret: String?

    /// RFC 7636, appendix B.
    static let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    static let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    static let redirect = "https://client.example/cb?x=1"

    static func make(_ suite: Suite, _ more: [String: JSON] = [:]) async throws -> OAuth2TestClient {
        let body: [String: JSON] = [
            "name": "Panel", "scope": "streams:read radio:read", "grants": ["authorization_code", "refresh_token"],
            "redirect_uris": [.string(Self.redirect)],
        ]
        let answer = try await suite.request(
            "POST", .auth, "/v1/oauth2/clients", .object(body.merging(more) { $1 }), token: try suite.ownerKey)
        #expect(answer.status == 201, "\(answer.body)")
        return OAuth2TestClient(
            suite: suite, id: try #require(answer["client_id"]?.string), secret: answer["client_secret"]?.string)
    }

    /// The path of an authorization request; a parameter that is `nil` is left out.
    func request(_ changes: [String: String?] = [:]) -> String {
        var fields: [String: String?] = [
            "response_type": "code", "client_id": self.id, "redirect_uri": Self.redirect, "state": "s&t=1",
            "code_challenge": Self.challenge, "code_challenge_method": "S256",
        ]
        for (name, value) in changes { fields.updateValue(value, forKey: name) }
        return "/oauth2/authorize?" + OAuth2Browser.form(fields.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }

    /// A request to one of the endpoints for clients, with its id and secret in the form.
    func send(_ path: String, _ fields: [(String, String?)], address: String? = nil) async throws -> Suite.Answer {
        let form = OAuth2Browser.form([("client_id", self.id), ("client_secret", self.secret)] + fields)
        let answer = try await HTTPClient.request(
            "POST", port: self.suite.port(.auth), path: path,
            headers: [("Content-Type", "application/x-www-form-urlencoded")], body: Array(form.utf8))
        return Suite.Answer(
            status: answer.status, headers: answer.headers, body: JSON(parsing: answer.body) ?? .null)
    }

    func exchange(_ code: String, _ changes: [String: String?] = [:]) async throws -> Suite.Answer {
        var fields: [String: String?] = [
            "grant_type": "authorization_code", "code": code, "redirect_uri": Self.redirect,
            "code_verifier": Self.verifier,
        ]
        for (name, value) in changes { fields.updateValue(value, forKey: name) }
        return try await self.send("/oauth2/token", fields.map { ($0.key, $0.value) })
    }

    func refresh(_ token: String, scope: String? = nil) async throws -> Suite.Answer {
        try await self.send(
            "/oauth2/token", [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)])
    }

    func introspect(_ token: String) async throws -> JSON {
        try await self.send("/oauth2/introspect", [("token", token)]).body
    }
}
