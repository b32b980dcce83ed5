import Database
import Events
import Foundation
import TestSupport
import Testing

/// Hostile requests to the paths of users, channels and sign-in: each is refused by the right name, and changes nothing.
@Suite("Account refusals", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AccountRefusalTests {
    private struct Case {
        let method: String
        let path: String
        let body: [UInt8]
        let status: Int
        /// The member that the answer names; `nil`: none.
        var field: String?
        var type = "application/json"
    }

    private static func json(
        _ method: String, _ path: String, _ body: String, _ status: Int, _ field: String? = nil
    ) -> Case {
        Case(method: method, path: path, body: Array(body.utf8), status: status, field: field)
    }

    private static func users(_ id: String) -> [Case] {
        let (all, one) = ("/v1/auth/users", "/v1/auth/users/\(id)")
        let long = String(repeating: "a", count: 300)
        var cases = [
            ("", nil), ("[]", nil), ("null", nil), ("{", nil), (#"{"email":"a@b","email":"c@d"}"#, nil),
            ("{}", "email"),
            (#"{"email":5}"#, "email"), (#"{"email":null}"#, "email"), (#"{"email":"nobody"}"#, "email"),
            (#"{"email":"a@b\u0000"}"#, "email"), (#"{"email":"a b@c"}"#, "email"),
            (#"{"email":"\#(long)@b"}"#, "email"),
            (#"{"email":"a@b","name":""}"#, "name"), (#"{"email":"a@b","name":"\#(long)"}"#, "name"),
            (#"{"email":"a@b","name":"a\u0007"}"#, "name"), (#"{"email":"a@b","name":["a"]}"#, "name"),
            (#"{"email":"a@b","admin":true}"#, "admin"), (#"{"email":"a@b","disabled":true}"#, "disabled"),
            (#"{"email":"a@b","is_owner":true}"#, "is_owner"), (#"{"email":"a@b","owner":"yes"}"#, "owner"),
            (#"{"email":"a@b","owner":1}"#, "owner"), (#"{"email":"a@b","password":"short"}"#, "password"),
            (#"{"email":"a@b","password":"passwordpassword"}"#, "password"),
            (#"{"email":"aaaaaaaa@bcdefg","password":"AAAAAAAA@bcdefg"}"#, "password"),
            (#"{"email":"a@b","password":"nul in the\u0000 middle"}"#, "password"),
            (#"{"email":"a@b","password":"\#(String(repeating: "long", count: 300))"}"#, "password"),
            (#"{"email":"a@b","password":12345678901234}"#, "password"), (#"{"email":"a@b","roles":{}}"#, "roles"),
            (#"{"email":"a@b","roles":["dj"]}"#, "roles[0]"), (#"{"email":"a@b","roles":[{}]}"#, "roles[0].channel"),
            (#"{"email":"a@b","roles":[{"channel":"default"}]}"#, "roles[0].role"),
            (#"{"email":"a@b","roles":[{"channel":"default","role":"root"}]}"#, "roles[0].role"),
            (#"{"email":"a@b","roles":[{"channel":"nowhere","role":"dj"}]}"#, "roles[0].channel"),
            (#"{"email":"a@b","roles":[{"channel":"'; --","role":"dj"}]}"#, "roles[0].channel"),
            (#"{"email":"a@b","roles":[{"channel":"default","station":"","role":"dj"}]}"#, "roles[0].station"),
            (#"{"email":"a@b","roles":[{"channel":"default","station":"s\u0000","role":"dj"}]}"#, "roles[0].station"),
            (#"{"email":"a@b","roles":[{"channel":"default","role":"dj","x":1}]}"#, "roles[0].x"),
            (
                #"{"email":"a@b","roles":[{"channel":"default","role":"dj"},{"channel":"default","role":"admin"}]}"#,
                "roles"
            ),
        ].map { Self.json("POST", all, $0.0, 400, $0.1) }
        let many = (0...50).map { #"{"channel":"default","station":"s\#($0)","role":"dj"}"# }.joined(separator: ",")
        cases += [
            Self.json("POST", all, #"{"email":"a@b","roles":[\#(many)]}"#, 400, "roles"),
            Self.json("PUT", "\(one)/roles", #"{"roles":[\#(many)]}"#, 400, "roles"),
            Self.json("POST", all, #"{"email":"\u0130@b"}"#, 400, "email"),
            Self.json("PATCH", one, #"{"id":"x"}"#, 400, "id"),
            Self.json("PATCH", one, #"{"password":"x"}"#, 400, "password"),
            Self.json("PATCH", one, #"{"roles":[]}"#, 400, "roles"),
            Self.json("PATCH", one, #"{"disabled":0}"#, 400, "disabled"),
            Self.json("PATCH", one, #"{"email":""}"#, 400, "email"),
            Self.json("PATCH", one, #"{"name":null}"#, 400, "name"),
            Self.json("PATCH", one, #"{"name":"x","name":"y"}"#, 400),
            Self.json("PATCH", one, "{\"name\":\"\u{1}\"}", 400),
            Self.json("PATCH", "\(all)/nobody", "{}", 404), Self.json("PATCH", "\(all)/a%00b", "{}", 404),
            Self.json("PATCH", "\(all)/%27%20OR%20true--", "{}", 404), Self.json("DELETE", "\(all)/%00", "", 404),
            Self.json("GET", "\(all)/..%2F..%2Fkeys", "", 404), Self.json("GET", "\(all)/\(long)", "", 404),
            Self.json("PUT", "\(one)/password", "{}", 400, "password"),
            Self.json("PUT", "\(one)/password", #"{"password":"short"}"#, 400, "password"),
            Self.json("PUT", "\(one)/password", #"{"password":"long enough a word","x":1}"#, 400, "x"),
            Self.json(
                "PUT", "\(one)/password", #"{"password":"long enough a word","current_password":"y"}"#, 400,
                "current_password"),
            Self.json("PUT", "\(one)/roles", "{}", 400, "roles"),
            Self.json("PUT", "\(one)/roles", #"{"roles":null}"#, 400, "roles"),
            Self.json("PUT", "\(one)/roles", #"{"roles":[{"channel":"default","role":"DJ"}]}"#, 400, "roles[0].role"),
            Self.json("PUT", "\(all)/nobody/roles", #"{"roles":[]}"#, 404),
            Self.json("POST", "\(all)/nobody/revoke", "", 404),
            Self.json("POST", one, "{}", 405), Self.json("PUT", all, "{}", 405),
            Self.json("GET", "\(one)/password", "", 405),
            Self.json("DELETE", "/v1/auth/me", "", 405), Self.json("GET", "\(all)?limit=0", "", 400, "limit"),
            Self.json("GET", "\(all)?limit=x", "", 400, "limit"),
            Self.json("GET", "\(all)?cursor=%27", "", 400, "cursor"),
            Self.json("GET", "\(all)?tenant=%00", "", 400, "tenant"),
            Case(method: "POST", path: all, body: [0x7B, 0x22, 0xFF, 0x22, 0x7D], status: 400),
            Case(
                method: "POST", path: all, body: Array("email=a@b".utf8), status: 415,
                type: "application/x-www-form-urlencoded"),
            Case(method: "POST", path: all, body: Array(repeating: 0x20, count: 2 << 20), status: 413),
        ]
        return cases
    }

    private static var channels: [Case] {
        let all = "/v1/auth/channels"
        return [
            Self.json("POST", all, "{}", 400, "id"), Self.json("POST", all, #"{"id":""}"#, 400, "id"),
            Self.json("POST", all, #"{"id":"a b"}"#, 400, "id"),
            Self.json("POST", all, #"{"id":"a\u0000"}"#, 400, "id"),
            Self.json("POST", all, #"{"id":"\#(String(repeating: "a", count: 65))"}"#, 400, "id"),
            Self.json("POST", all, #"{"id":7}"#, 400, "id"),
            Self.json("POST", all, #"{"id":"n","name":""}"#, 400, "name"),
            Self.json("POST", all, #"{"id":"n","name":"\u0000"}"#, 400, "name"),
            Self.json("POST", all, #"{"id":"n","owner":"x"}"#, 400, "owner"),
            Self.json("POST", all, #"{"id":"default"}"#, 409, "id"),
            Self.json("PATCH", "\(all)/default", "{}", 400, "name"),
            Self.json("PATCH", "\(all)/default", #"{"id":"x"}"#, 400, "id"),
            Self.json("PATCH", "\(all)/default", #"{"name":"\n"}"#, 400, "name"),
            Self.json("PATCH", "\(all)/nowhere", #"{"name":"x"}"#, 404), Self.json("GET", "\(all)/%27", "", 404),
            Self.json("DELETE", "\(all)/default", "", 405), Self.json("GET", "\(all)?limit=1000", "", 400, "limit"),
        ]
    }

    /// What Grimnir's paths answer: the status and the code.
    private static let signIns: [(String, String, Int, String)] = [
        ("/api/v1/auth/login", "", 400, "invalid_json"), ("/api/v1/auth/login", "[]", 400, "invalid_json"),
        ("/api/v1/auth/login", "{}", 400, "email_and_password_required"),
        ("/api/v1/auth/login", #"{"email":"a@b"}"#, 400, "email_and_password_required"),
        ("/api/v1/auth/login", #"{"email":"","password":""}"#, 400, "email_and_password_required"),
        ("/api/v1/auth/login", #"{"email":"a@b","password":null}"#, 400, "email_and_password_required"),
        ("/api/v1/auth/login", #"{"email":5,"password":"x"}"#, 400, "invalid_json"),
        ("/api/v1/auth/login", #"{"email":{"$ne":1},"password":{"$ne":1}}"#, 400, "invalid_json"),
        ("/api/v1/auth/login", #"{"email":"a@b","password":"x","admin":1}"#, 400, "invalid_json"),
        ("/api/v1/auth/login", #"{"email":"a@b","password":"x","password":"y"}"#, 400, "invalid_json"),
        ("/api/v1/auth/login", #"{"email":"a@b","password":"x","station_id":7}"#, 400, "invalid_json"),
        ("/api/v1/auth/login", #"{"email":"a@b","password":"x","station_id":"\u0000"}"#, 400, "invalid_json"),
        ("/api/v1/auth/login", #"{"email":"a@b\u0000","password":"x"}"#, 400, "invalid_json"),
        ("/api/v1/auth/login", #"{"email":"a@b","password":"x\u0000"}"#, 400, "invalid_json"),
        (
            "/api/v1/auth/login", #"{"email":"\#(String(repeating: "a", count: 300))@b","password":"x"}"#, 400,
            "invalid_json"
        ),
        (
            "/api/v1/auth/login", #"{"email":"a@b","password":"\#(String(repeating: "a", count: 2000))"}"#, 400,
            "invalid_json"
        ),
        ("/api/v1/auth/login", #"{"email":"' OR 1=1 --","password":"x"}"#, 401, "invalid_credentials"),
        ("/api/v1/auth/login", #"{"email":"owner@localhost'--","password":"x"}"#, 401, "invalid_credentials"),
        ("/api/v1/auth/login", #"{"email":"%@%","password":"x"}"#, 401, "invalid_credentials"),
        ("/api/v1/auth/refresh", "", 401, "unauthorized"), ("/api/v1/auth/refresh", "{", 400, "invalid_json"),
        ("/api/v1/auth/refresh", "{}", 401, "unauthorized"),
        ("/api/v1/auth/refresh", #"{"refresh_token":5}"#, 400, "invalid_json"),
        ("/api/v1/auth/refresh", #"{"refresh_token":"xprt_"}"#, 401, "unauthorized"),
        ("/api/v1/auth/refresh", #"{"refresh_token":"' OR true --"}"#, 401, "unauthorized"),
        ("/api/v1/auth/refresh", #"{"refresh_token":"a","email":"b"}"#, 400, "invalid_json"),
        ("/api/v1/auth/refresh", #"{"refresh_token":"\#(String(repeating: "a", count: 300))"}"#, 400, "invalid_json"),
    ]

    /// Everything that a refused request must leave as it is. What is written about sign-ins that failed is not.
    private static func state(_ url: String) async throws -> [String] {
        let rows = try await Suite.query(
            url,
            """
            SELECT t.row FROM (
                SELECT u::text AS row FROM users u UNION ALL SELECT m::text FROM memberships m
                UNION ALL SELECT c::text FROM channels c UNION ALL SELECT s::text FROM sessions s
                UNION ALL SELECT r::text FROM refresh_tokens r UNION ALL SELECT a::text FROM access_tokens a
                UNION ALL SELECT e.seq::text FROM event_log e UNION ALL SELECT d::text FROM audit d WHERE d.outcome = 'done'
            ) t ORDER BY t.row
            """)
        return try rows.map { try $0.decode("row", as: String.self) }
    }

    private static let password = "a secret for hostile tests"

    @Test func `what is hostile, by the right name, and changes nothing`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await LoginTests.with(databaseURL: url) { suite in
                let owner = try suite.ownerKey
                let made = try await suite.request(
                    "POST", .auth, "/v1/auth/users",
                    [
                        "email": "victim@x", "password": .string(Self.password),
                        "roles": [["channel": "default", "role": "dj"]],
                    ], token: owner)
                let id = try #require(made["id"]?.string)
                let before = try await Self.state(url)
                for test in Self.users(id) + Self.channels {
                    let answer = try await HTTPClient.request(
                        test.method, port: suite.port(.auth), path: test.path,
                        headers: [("Authorization", "Bearer \(owner)"), ("Content-Type", test.type)], body: test.body)
                    let error = JSON(parsing: answer.body)?["error"]
                    let said: Comment =
                        "\(test.method) \(test.path.prefix(60)) \(String(decoding: test.body.prefix(120), as: UTF8.self)): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))"
                    #expect(answer.status == test.status, said)
                    #expect(error?["code"]?.string != nil && error?["code"] != "INTERNAL_ERROR", said)
                    if let field = test.field { #expect(error?["details"]?["field"] == .string(field), said) }
                    if test.status == 405 { #expect(answer.headers["allow"] != nil, said) }
                }
                for (path, body, status, code) in Self.signIns {
                    let answer = try await HTTPClient.request(
                        "POST", port: suite.port(.auth), path: path, headers: [("Content-Type", "application/json")],
                        body: Array(body.utf8))
                    let said: Comment =
                        "\(path) \(body.prefix(100)): \(answer.status) \(String(decoding: answer.body, as: UTF8.self))"
                    #expect(answer.status == status, said)
                    #expect(JSON(parsing: answer.body) == ["error": .string(code)], said)
                }
                for path in ["/api/v1/auth/login", "/api/v1/auth/refresh"] {
                    let form = try await HTTPClient.request(
                        "POST", port: suite.port(.auth), path: path,
                        headers: [("Content-Type", "application/x-www-form-urlencoded")], body: Array("a=b".utf8))
                    #expect(form.status == 415 && JSON(parsing: form.body)?["error"]?.string != nil)
                    let get = try await HTTPClient.request("GET", port: suite.port(.auth), path: path)
                    #expect(get.status == 405 && get.headers["allow"] == "POST")
                }
                #expect(try await Self.state(url) == before)
                let log = suite.log("auth")
                #expect(!log.contains(Self.password) && !log.contains(owner))
                #expect(!log.contains(#""level":"error""#))
            }
        }
    }

    @Test func `nothing of it opens without a credential, or with one that may not`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await LoginTests.with(databaseURL: url) { suite in
                let reader = try await suite.token(scope: "radio:read")
                let watcher = try await suite.token(scope: "users:read")
                let list = try await suite.request("GET", .auth, "/v1/auth/users", token: try suite.ownerKey)
                let id = try #require(list["data"]?.array?.first?["id"]?.string)
                let before = try await Self.state(url)
                let writes: [(String, String, JSON?)] = [
                    ("POST", "/v1/auth/users", ["email": "a@b"]), ("PATCH", "/v1/auth/users/\(id)", ["disabled": true]),
                    ("DELETE", "/v1/auth/users/\(id)", nil),
                    ("PUT", "/v1/auth/users/\(id)/password", ["password": "long enough a word"]),
                    ("PUT", "/v1/auth/users/\(id)/roles", ["roles": []]), ("POST", "/v1/auth/users/\(id)/revoke", nil),
                    ("POST", "/v1/auth/channels", ["id": "x"]), ("PATCH", "/v1/auth/channels/default", ["name": "x"]),
                ]
                let reads: [(String, String, JSON?)] = [
                    ("GET", "/v1/auth/users", nil), ("GET", "/v1/auth/users/\(id)", nil),
                    ("GET", "/v1/auth/audit", nil),
                    ("GET", "/v1/auth/channels", nil), ("GET", "/v1/auth/channels/default", nil),
                ]
                for (method, path, body) in reads + writes {
                    let none = try await suite.request(method, .auth, path, body)
                    #expect(none.status == 401 && none.headers["www-authenticate"] == "Bearer", "\(method) \(path)")
                    let bad = try await suite.request(method, .auth, path, body, token: "xp_nonsense")
                    #expect(bad.status == 401, "\(method) \(path)")
                    #expect(bad.headers["www-authenticate"]?.contains("invalid_token") == true)
                    let weak = try await suite.request(method, .auth, path, body, token: reader)
                    #expect(weak.status == 403 && weak["error"]?["code"] == "FORBIDDEN", "\(method) \(path)")
                    #expect(weak.headers["www-authenticate"]?.contains("insufficient_scope") == true)
                }
                for (method, path, body) in writes {
                    #expect(try await suite.request(method, .auth, path, body, token: watcher).status == 403)
                }
                #expect(try await Self.state(url) == before)
            }
        }
    }
}
