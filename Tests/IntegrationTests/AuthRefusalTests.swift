import Database
import Events
import Foundation
import Logging
import TestSupport
import Testing

/// Requests that auth must refuse: each with the right status and error, and with nothing changed.
@Suite("Auth refuses", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AuthRefusalTests {
    private struct Hostile {
        var method = "POST"
        var path: String
        var headers: [(String, String)] = []
        var body: [UInt8] = []
        var status: Int
        var code: String
    }

    /// A JSON request with a bearer token.
    private static func json(
        method: String = "POST", _ path: String, _ token: String?, _ body: String = "",
        type: String? = "application/json",
        is status: Int, _ code: String = "VALIDATION_ERROR"
    ) -> Hostile {
        let headers = [("Content-Type", type), ("Authorization", token.map { "Bearer \($0)" })]
        return Hostile(
            method: method, path: path, headers: headers.compactMap { name, value in value.map { (name, $0) } },
            body: Array(body.utf8), status: status, code: code)
    }

    /// A token request.
    private static func form(
        _ body: String, type: String = "application/x-www-form-urlencoded", authorization: String? = nil,
        is status: Int,
        _ code: String
    ) -> Hostile {
        Hostile(
            path: "/oauth2/token",
            headers: [("Content-Type", type)] + (authorization.map { [("Authorization", $0)] } ?? []),
            body: Array(body.utf8), status: status, code: code)
    }

    /// Every row that a credential hangs on, and the log.
    private static func state(_ url: String) async throws -> [String] {
        let database = Database(
            DatabaseConfiguration(url: url, schema: "auth", connections: 1), logger: Logger(label: "test"))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await database.run() }
            let rows = try await database.query(
                """
                SELECT t.row FROM (
                    SELECT k::text AS row FROM api_keys k UNION ALL SELECT c::text FROM oauth_clients c
                    UNION ALL SELECT a::text FROM access_tokens a UNION ALL SELECT s.kid FROM signing_keys s
                    UNION ALL SELECT e.seq::text FROM event_log e
                ) t ORDER BY t.row
                """)
            group.cancelAll()
            return try rows.map { try $0.decode("row", as: String.self) }
        }
    }

    private static func base64URL(_ text: String) -> String {
        Data(text.utf8).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing(
            "=", with: "")
    }

    /// Tokens that look like ours and are not.
    private static func forged(from jwt: String) throws -> [String] {
        let parts = jwt.split(separator: ".").map(String.init)
        let claims = try #require(AuthTests.base64URL(parts[1]).map { String(decoding: $0, as: UTF8.self) })
        let header = try #require(AuthTests.base64URL(parts[0]).map { String(decoding: $0, as: UTF8.self) })
        let raised = Self.base64URL(claims.replacing("radio:read", with: "auth:admin"))
        let none = Self.base64URL(#"{"alg":"none","typ":"JWT"}"#)
        let symmetric = Self.base64URL(header.replacing("ES256", with: "HS256"))
        let stranger = Self.base64URL(#"{"alg":"ES256","kid":"another"}"#)
        let keyless = Self.base64URL(#"{"alg":"ES256"}"#)
        return [
            "\(parts[0]).\(raised).\(parts[2])", "\(none).\(raised).", "\(none).\(parts[1]).",
            "\(none).\(raised).\(parts[2])",
            "\(symmetric).\(raised).\(parts[2])", "\(symmetric).\(parts[1]).\(parts[2])",
            "\(stranger).\(parts[1]).\(parts[2])",
            "\(keyless).\(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1]).",
            "\(parts[0]).\(parts[1]).\(parts[2].dropLast(2))",
            "..", "a.b.c", "\(parts[0])..\(parts[2])",
        ]
    }

    private static func requests(owner: String, keys: String, reader: String, client: (id: String, secret: String))
        -> [Hostile]
    {
        let long = String(repeating: "x", count: 300)
        let good = #"{"name":"k","scopes":["radio:read"]}"#
        let (list, tokens, clients) = ("/v1/auth/keys", "/v1/tokens", "/v1/oauth2/clients")
        let credentials = "grant_type=client_credentials&client_id=\(client.id)&client_secret="
        let basic = "Basic " + Data("\(client.id):\(client.secret)".utf8).base64EncodedString()
        let wrongBasic = "Basic " + Data("\(client.id):wrong".utf8).base64EncodedString()
        func member(_ text: String) -> String { #"{"name":"k","scopes":["radio:read"],\#(text)}"# }
        return [
            // Who asks.
            Self.json(list, nil, good, is: 401, "AUTHENTICATION_REQUIRED"),
            Self.json(tokens, nil, #"{"type":"jwt"}"#, is: 401, "AUTHENTICATION_REQUIRED"),
            Self.json(clients, nil, good, is: 401, "AUTHENTICATION_REQUIRED"),
            Self.json(method: "GET", list, nil, is: 401, "AUTHENTICATION_REQUIRED"),
            Self.json(method: "DELETE", "\(list)/owner", nil, is: 401, "AUTHENTICATION_REQUIRED"),
            Self.json(list, "xp_" + String(repeating: "0", count: 64), good, is: 401, "AUTHENTICATION_REQUIRED"),
            Self.json(list, owner.uppercased(), good, is: 401, "AUTHENTICATION_REQUIRED"),
            Self.json(list, "' OR 1=1 --", good, is: 401, "AUTHENTICATION_REQUIRED"),
            Self.json(list, "", good, is: 401, "AUTHENTICATION_REQUIRED"),
            Self.json(list, String(repeating: "x", count: 9000), good, is: 401, "AUTHENTICATION_REQUIRED"),
            Hostile(
                path: list, headers: [("Authorization", basic), ("Content-Type", "application/json")],
                body: Array(good.utf8),
                status: 401, code: "AUTHENTICATION_REQUIRED"),
            Hostile(
                path: list, headers: [("X-API-Key", ""), ("Content-Type", "application/json")], body: Array(good.utf8),
                status: 401, code: "AUTHENTICATION_REQUIRED"),
            // More than the asker has.
            Self.json(list, reader, good, is: 403, "FORBIDDEN"),
            Self.json(method: "GET", list, reader, is: 403, "FORBIDDEN"),
            Self.json(method: "DELETE", "\(list)/owner", reader, is: 403, "FORBIDDEN"),
            Self.json(tokens, keys, #"{"type":"jwt"}"#, is: 403, "FORBIDDEN"),
            Self.json(clients, reader, #"{"name":"c","scope":"radio:read"}"#, is: 403, "FORBIDDEN"),
            Self.json(list, keys, #"{"name":"k","scopes":["*"]}"#, is: 403, "FORBIDDEN"),
            Self.json(list, keys, #"{"name":"k","scopes":["radio:*"]}"#, is: 403, "FORBIDDEN"),
            Self.json(list, keys, #"{"name":"k","scopes":["radio:read auth:admin"]}"#, is: 403, "FORBIDDEN"),
            Self.json(list, keys, #"{"name":"k","scopes":["radio:read"],"scopes":["*"]}"#, is: 400),
            Self.json(list, keys, member(#""tenant":"theirs""#), is: 403, "FORBIDDEN"),
            Self.json(list, keys, member(#""tier":"pro""#), is: 403, "FORBIDDEN"),
            Self.json(method: "GET", "\(list)?tenant=theirs", keys, is: 403, "FORBIDDEN"),
            Self.json(clients, keys, #"{"name":"c","scope":"auth:admin"}"#, is: 403, "FORBIDDEN"),
            // What is not there.
            Self.json(method: "DELETE", "\(list)/none", owner, is: 404, "NOT_FOUND"),
            Self.json(method: "DELETE", "\(list)/a%00b", owner, is: 404, "NOT_FOUND"),
            Self.json(method: "DELETE", "\(list)/%27%20OR%201=1", owner, is: 404, "NOT_FOUND"),
            Self.json(method: "DELETE", "\(list)/%FF%FE", owner, is: 404, "NOT_FOUND"),
            Self.json(method: "DELETE", "\(clients)/none", owner, is: 404, "NOT_FOUND"),
            Self.json(method: "GET", "/v1/nothing", owner, is: 404, "NOT_FOUND"),
            Self.json(method: "PUT", list, owner, good, is: 405, "METHOD_NOT_ALLOWED"),
            Self.json(method: "GET", tokens, owner, is: 405, "METHOD_NOT_ALLOWED"),
            // Bodies that are not one.
            Self.json(list, owner, "", is: 400), Self.json(list, owner, "{", is: 400),
            Self.json(list, owner, "[]", is: 400),
            Self.json(list, owner, "null", is: 400), Self.json(list, owner, good + ",", is: 400),
            Self.json(list, owner, good + good, is: 400), Self.json(list, owner, "{}", is: 400),
            Self.json(list, owner, good, type: "text/plain", is: 415),
            Self.json(list, owner, "name=k&scopes=*", type: "application/x-www-form-urlencoded", is: 415),
            Self.json(list, owner, String(repeating: "[", count: 200_000), is: 400),
            Self.json(list, owner, String(repeating: " ", count: 1_100_000), is: 413),
            Hostile(
                path: list, headers: [("Authorization", "Bearer \(owner)"), ("Content-Type", "application/json")],
                body: Array(#"{"name":""#.utf8) + [0xC3, 0x28] + Array(#"","scopes":["*"]}"#.utf8), status: 400,
                code: "VALIDATION_ERROR"),
            // Members.
            Self.json(list, owner, member(#""allowed_ips":["192.0.2.1/24"]"#), is: 400),
            Self.json(list, owner, member(#""allowed_ips":[]"#), is: 400),
            Self.json(list, owner, member(#""allowed_ips":["localhost"]"#), is: 400),
            Self.json(list, owner, member(#""kind":"other""#), is: 400),
            Self.json(list, owner, member(#""expires_in_day":1"#), is: 400),
            Self.json(list, owner, member(#""expires_in_days":0"#), is: 400),
            Self.json(list, owner, member(#""expires_in_days":366"#), is: 400),
            Self.json(list, owner, member(#""expires_in_days":1.5"#), is: 400),
            Self.json(list, owner, member(#""expires_in_days":"1""#), is: 400),
            Self.json(list, owner, member(#""expires_in_days":1e300"#), is: 400),
            Self.json(list, owner, member(#""tier":"platinum""#), is: 400),
            Self.json(list, owner, member(#""tenant":"a b""#), is: 400),
            Self.json(list, owner, member(#""tenant":"a\u0000""#), is: 400),
            Self.json(list, owner, member(#""stations":["\u0000"]"#), is: 400),
            Self.json(list, owner, #"{"name":"\#(long)","scopes":["*"]}"#, is: 400),
            Self.json(list, owner, #"{"name":"a\u0000b","scopes":["*"]}"#, is: 400),
            Self.json(list, owner, #"{"name":"","scopes":["*"]}"#, is: 400),
            Self.json(list, owner, #"{"name":"k","scopes":[]}"#, is: 400),
            Self.json(list, owner, #"{"name":"k","scopes":"*"}"#, is: 400),
            Self.json(list, owner, #"{"name":"k","scopes":["radio"]}"#, is: 400),
            Self.json(list, owner, #"{"name":"k","scopes":["r\u0061dio:\u0000"]}"#, is: 400),
            Self.json(tokens, owner, #"{"type":"anonymous"}"#, is: 400),
            Self.json(tokens, owner, #"{"type":"JWT"}"#, is: 400),
            Self.json(tokens, owner, #"{"type":"jwt","ttl_seconds":0}"#, is: 400),
            Self.json(tokens, owner, #"{"type":"jwt","ttl_seconds":2592001}"#, is: 400),
            Self.json(tokens, owner, #"{"type":"jwt","ttl_seconds":9223372036854775808}"#, is: 400),
            Self.json(tokens, owner, #"{"type":"jwt","exp":1}"#, is: 400),
            Self.json(clients, owner, #"{"name":"c"}"#, is: 400),
            Self.json(method: "GET", "\(list)?limit=0", owner, is: 400),
            Self.json(method: "GET", "\(list)?limit=x", owner, is: 400),
            Self.json(method: "GET", "\(list)?cursor=%00", owner, is: 400),
            Self.json(method: "GET", "\(list)?tenant=%00", owner, is: 400),
            // Token requests (RFC 6749 §5.2).
            Self.form("", is: 400, "invalid_request"),
            Self.form("grant_type=client_credentials", type: "application/json", is: 400, "invalid_request"),
            Self.form("grant_type=password&username=a&password=b", is: 400, "unsupported_grant_type"),
            Self.form("grant_type=client_credentials", is: 401, "invalid_client"),
            Self.form(credentials + "wrong", is: 401, "invalid_client"),
            Self.form("grant_type=client_credentials", authorization: wrongBasic, is: 401, "invalid_client"),
            Self.form("grant_type=client_credentials", authorization: "Basic ?", is: 401, "invalid_client"),
            Self.form("grant_type=client_credentials&client_id=%27--&client_secret=x", is: 401, "invalid_client"),
            Self.form("grant_type=client_credentials&client_id=a%00&client_secret=x", is: 400, "invalid_request"),
            Self.form(credentials + client.secret + "&scope=*", is: 400, "invalid_scope"),
            Self.form(credentials + client.secret + "&scope=radio:*", is: 400, "invalid_scope"),
            Self.form(credentials + client.secret + "&scope=nonsense", is: 400, "invalid_scope"),
            Self.form(credentials + client.secret + "&scope=radio:read&scope=*", is: 400, "invalid_request"),
            Self.form(credentials + client.secret, authorization: basic, is: 400, "invalid_request"),
            Self.form(String(repeating: "a", count: 20_000), is: 413, "invalid_request"),
            Self.json(method: "GET", "/oauth2/token", nil, is: 405, "invalid_request"),
        ]
    }

    @Test func `what is hostile, by the right name, and changes nothing`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth], gateways: 0, databaseURL: url) { suite in
                let owner = try suite.ownerKey
                let client = try await suite.request(
                    "POST", .auth, "/v1/oauth2/clients", ["name": "c", "scope": "radio:read"], token: owner)
                let secret = try #require(client["client_secret"]?.string)
                let reader = try await suite.token(scope: "radio:read")
                let keys = try await suite.token("oauth2", scope: "keys:write radio:read")
                let before = try await Self.state(url)
                var requests = Self.requests(
                    owner: owner, keys: keys, reader: reader,
                    client: (try #require(client["client_id"]?.string), secret))
                requests += try Self.forged(from: reader).map {
                    Self.json(method: "GET", "/v1/auth/keys", $0, is: 401, "AUTHENTICATION_REQUIRED")
                }
                for request in requests {
                    let answer = try await HTTPClient.request(
                        request.method, port: suite.port(.auth), path: request.path, headers: request.headers,
                        body: request.body)
                    let text = String(decoding: request.body.prefix(100), as: UTF8.self)
                    let said: Comment =
                        "\(request.method) \(request.path) \(text): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))"
                    let error = JSON(parsing: answer.body)?["error"]
                    #expect(answer.status == request.status, said)
                    #expect((error?["code"] ?? error) == .string(request.code), said)
                    #expect(answer.status != 401 || answer.headers["www-authenticate"] != nil, said)
                    if request.path == "/oauth2/token", request.method == "POST" {
                        #expect(answer.headers["cache-control"] == "no-store", said)
                    }
                }
                #expect(try await Self.state(url) == before)
                let log = suite.log("auth")
                for secret in [owner, reader, keys, secret] { #expect(!log.contains(secret)) }
                #expect(!log.contains(#""level":"error""#))
            }
        }
    }
}
