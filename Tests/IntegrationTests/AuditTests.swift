import Database
import Events
import Foundation
import TestSupport
import Testing

/// The audit log: who did what and who was refused, to whom it is shown, and how long it is kept.
@Suite("Audit", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AuditTests {
    static func entries(_ suite: Suite, _ query: String, token: String? = nil) async throws -> [JSON] {
        let answer = try await suite.request(
            "GET", .auth, "/v1/auth/audit?\(query)", token: try token ?? suite.ownerKey)
        try #require(answer.status == 200, "\(answer.body)")
        return try #require(answer["data"]?.array)
    }

    @Test func `what was done and what was refused is there, newest first, by every filter`() async throws {
        try await LoginTests.with { suite in
            let start = Timestamp.now.iso8601
            let made = try await suite.request(
                "POST", .auth, "/v1/auth/users",
                [
                    "email": "a@x", "password": "a long enough secret",
                    "roles": [["channel": "default", "role": "viewer"]],
                ], token: try suite.ownerKey)
            let id = try #require(made["id"]?.string)
            let signedIn = try await LoginTests.logIn(suite, "a@x", "a long enough secret")
            let viewer = try #require(signedIn["access_token"]?.string)
            for _ in 0..<3 { _ = try await LoginTests.logIn(suite, "a@x", "my secret is 1234567") }
            _ = try await LoginTests.logIn(suite, "somebody@else", "my secret is 1234567")
            let refused = try await suite.request("PATCH", .auth, "/v1/auth/users/\(id)", ["name": "x"], token: viewer)
            #expect(refused.status == 403)
            try await Suite.eventually("the refusals are written", within: .seconds(10)) {
                let written = try await Self.entries(suite, "outcome=refused")
                return written.reduce(0) { $0 + Int($1["count"]?.double ?? 0) } == 5
            }
            // Alike ones may straddle a second.
            let wrong = try await Self.entries(suite, "outcome=refused&action=user.login&target=\(id)")
            #expect(
                wrong.allSatisfy { $0["reason"] == "password" && $0["address"] == "127.0.0.1" && $0["actor"] == nil })
            #expect(wrong.reduce(0) { $0 + Int($1["count"]?.double ?? 0) } == 3 && wrong.count < 3)
            let forbidden = try await Self.entries(suite, "outcome=refused&action=request.refuse")
            #expect(forbidden.count == 1 && forbidden[0]["actor"] == .string(id))

            let done = try await Self.entries(suite, "outcome=done&actor=\(id)")
            #expect(done.map { $0["action"] } == ["token.issue", "user.login"])
            let creation = try await Self.entries(suite, "action=user.create&target=\(id)")
            #expect(creation.count == 1 && creation[0]["credential"]?.string?.hasPrefix("owner_") == true)
            #expect(creation[0]["tenant"] == "default")
            let key = try #require(creation[0]["credential"]?.string)
            let ofKey = try await Self.entries(suite, "credential=\(key)&limit=100")
            #expect(!ofKey.isEmpty && ofKey.allSatisfy { $0["credential"] == .string(key) })
            #expect(try await Self.entries(suite, "credential=nobody").isEmpty)
            let all = try await Self.entries(suite, "limit=100")
            let ids = all.compactMap { $0["id"]?.string }
            #expect(ids == ids.sorted(by: >) && Set(ids).count == all.count)
            #expect(try await Self.entries(suite, "until=\(start)&target=\(id)").isEmpty)
            #expect(try await Self.entries(suite, "since=\(start)&target=\(id)").count > 2)
            #expect(try await Self.entries(suite, "address=192.0.2.1").isEmpty)
            #expect(try await Self.entries(suite, "tenant=nobody").isEmpty)

            var paged: [String] = []
            var cursor = ""
            repeat {
                let page = try await suite.request(
                    "GET", .auth, "/v1/auth/audit?limit=2\(cursor)", token: try suite.ownerKey)
                paged += try #require(page["data"]?.array).compactMap { $0["id"]?.string }
                cursor = page["pagination"]?["next_cursor"]?.string.map { "&cursor=\($0)" } ?? ""
            } while !cursor.isEmpty
            #expect(paged == ids)

            let text = String(decoding: JSON.array(all).bytes, as: UTF8.self)
            let owner = try suite.ownerKey
            for secret in ["secret", "somebody@else", owner, viewer] { #expect(!text.contains(secret)) }
        }
    }

    @Test func `a tenant's auditor sees their own tenant's entries only`() async throws {
        try await LoginTests.with { suite in
            let owner = try suite.ownerKey
            _ = try await suite.request("POST", .auth, "/v1/auth/channels", ["id": "north"], token: owner)
            for (email, channel) in [("a@north", "north"), ("a@default", "default")] {
                _ = try await suite.request(
                    "POST", .auth, "/v1/auth/users",
                    ["email": .string(email), "roles": [["channel": .string(channel), "role": "viewer"]]], token: owner)
            }
            let auditor = try await suite.token(tenant: "north", scope: "audit:read")
            let seen = try await Self.entries(suite, "limit=100", token: auditor)
            #expect(!seen.isEmpty && seen.allSatisfy { $0["tenant"] == "north" })
            #expect(
                seen.contains { $0["action"] == "user.create" } && seen.contains { $0["action"] == "channel.create" })
            for (query, status) in [
                ("tenant=default", 403), ("tenant=north", 200), ("actoin=x", 400), ("outcome=maybe", 400),
                ("since=yesterday", 400), ("limit=0", 400), ("limit=101", 400), ("cursor=%27", 400),
                ("action=%00", 400), ("target=\(String(repeating: "a", count: 201))", 400), ("action=", 400),
                ("action=%27%20OR%20true--", 200), ("since=2026-01-01T00:00:00Z", 200),
            ] {
                let answer = try await suite.request("GET", .auth, "/v1/auth/audit?\(query)", token: auditor)
                #expect(answer.status == status, "\(query): \(answer.body)")
            }
            let reader = try await suite.token(scope: "radio:read")
            #expect(try await suite.request("GET", .auth, "/v1/auth/audit", token: reader).status == 403)
            #expect(try await suite.request("GET", .auth, "/v1/auth/audit").status == 401)
        }
    }

    @Test func `whatever a credential may not do is written once, with who and where`() async throws {
        try await LoginTests.with { suite in
            let made = try await suite.request(
                "POST", .auth, "/v1/tokens", ["type": "apikey", "tenant": "north", "scope": "radio:read"],
                token: try suite.ownerKey)
            let (key, id) = (try #require(made["token"]?.string), try #require(made["id"]?.string))
            let refused: [(String, String, String, reason: String)] = [
                ("POST", "/v1/tokens", "/v1/tokens", "auth:admin"),
                ("DELETE", "/v1/tokens/x", "/v1/tokens/{id}", "keys:write"),
                ("POST", "/v1/auth/keys", "/v1/auth/keys", "keys:write"),
                ("DELETE", "/api/v1/auth/keys/x", "/api/v1/auth/keys/{id}", "keys:write"),
                ("POST", "/v1/auth/keys/x/rotate", "/v1/auth/keys/{id}/rotate", "keys:write"),
                ("POST", "/v1/oauth2/clients", "/v1/oauth2/clients", "keys:write"),
                ("GET", "/v1/auth/signing-keys", "/v1/auth/signing-keys", "auth:admin"),
                ("GET", "/v1/auth/audit", "/v1/auth/audit", "audit:read"),
                ("GET", "/v1/auth/users", "/v1/auth/users", "users:read"),
                ("PATCH", "/v1/auth/users/x", "/v1/auth/users/{id}", "users:write"),
                ("POST", "/v1/auth/channels", "/v1/auth/channels", "auth:admin"),
            ]
            for (method, path, _, _) in refused {
                let answer = try await suite.request(method, .auth, path, [:], token: key)
                #expect(answer.status == 403, "\(method) \(path)")
            }
            let form = try await HTTPClient.request(
                "POST", port: suite.port(.auth), path: "/oauth2/introspect",
                headers: [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", "Bearer \(key)")],
                body: Array("token=x".utf8))
            #expect(form.status == 403)
            let limited = try await suite.token(scope: "keys:write radio:read")
            let excess = try await suite.request(
                "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["radio:write"]], token: limited)
            #expect(excess.status == 403)
            let expected =
                Set(refused.map { "\($0.0) \($0.2) \($0.reason)" }).union([
                    "POST /oauth2/introspect keys:write", "POST /v1/auth/keys scopes",
                ])
            try await Suite.eventually("all are written", within: .seconds(10)) {
                try await Self.entries(suite, "outcome=refused&limit=100").count == expected.count
            }
            let entries = try await Self.entries(suite, "outcome=refused&limit=100")
            #expect(
                Set(entries.map { "\($0["target"]?.string ?? "") \($0["reason"]?.string ?? "")" }) == expected)
            #expect(entries.allSatisfy { $0["action"] == "request.refuse" && $0["count"] == 1 })
            let ofKey = entries.filter { $0["credential"] == .string(id) }
            #expect(ofKey.count == expected.count - 1)
            #expect(ofKey.allSatisfy { $0["tenant"] == "north" && $0["address"] == "127.0.0.1" })
            #expect(ofKey.allSatisfy { $0["actor"]?.string?.isEmpty == false })
        }
    }

    @Test func `what one customer's network is refused is one entry, whichever address it came from`() async throws {
        try await LoginTests.with(environment: ["HTTP_TRUSTED_PROXIES": "127.0.0.1"]) { suite in
            for number in 1...6 {
                let answer = try await suite.request(
                    "GET", .auth, "/v1/auth/me", token: "xp_\(number)",
                    headers: [("X-Forwarded-For", "2001:db8:1:2::\(number)")])
                #expect(answer.status == 401)
            }
            // The owner's key is known before its address has to wait.
            #expect(try await Self.entries(suite, "address=192.0.2.1").isEmpty)
            // Who is put off does not fill the log with names of their own.
            for number in 0..<24 {
                let client = OAuth2TestClient(suite: suite, id: "client_\(number)", secret: "wrong")
                let answer = try await client.send("/oauth2/token", [("grant_type", "client_credentials")])
                #expect([401, 429].contains(answer.status))
            }
            try await Suite.eventually("the throttled are written", within: .seconds(10)) {
                let entries = try await Self.entries(suite, "action=token.issue&outcome=refused&limit=100")
                let throttled = entries.filter { $0["reason"] == "throttled" }
                return !throttled.isEmpty && throttled.allSatisfy { $0["target"] == nil }
            }
            func counted(_ query: String) async throws -> Int {
                let entries = try await Self.entries(suite, "action=credential.refuse&\(query)")
                #expect(entries.allSatisfy { $0["address"] == "2001:db8:1:2::/64" })
                return entries.reduce(0) { $0 + Int($1["count"]?.double ?? 0) }
            }
            try await Suite.eventually("the refusals are written", within: .seconds(10)) {
                try await counted("address=2001:db8:1:2::/64") == 6
            }
            #expect(try await counted("address=2001:db8:1:2::99") == 6)
            #expect(try await counted("address=2001:db8:1:3::1") == 0)
        }
    }

    @Test func `refusals wait while the database is away`() async throws {
        try await PostgresFixture.with { postgres in
            try await LoginTests.with(
                databaseURL: postgres.url, environment: ["HTTP_TRUSTED_PROXIES": "127.0.0.1"]
            ) { suite in
                // Seven failures make four seconds in which no database is asked.
                var failures = 0
                try await Suite.eventually("seven failures") {
                    if try await LoginTests.logIn(suite, "a@x", "whatever it was").status == 401 { failures += 1 }
                    return failures == 7
                }
                try await postgres.stop()
                let refused = try await suite.request(
                    "POST", .auth, "/api/v1/auth/login", ["email": "a@x", "password": "whatever it was"],
                    headers: [("X-Forwarded-For", "198.51.100.7")])
                #expect(refused.status == 429 && refused.body == ["error": "rate_limited"])
                let away = try await LoginTests.logIn(suite, "b@x", "whatever it was")
                #expect(away.status == 503 && away.body == ["error": "unavailable"])
                #expect(away.headers["retry-after"] != nil)
                try await postgres.start()
                try await suite.waitUntilReady(.auth)
                try await Suite.eventually("it is written") {
                    let answer = try await suite.request(
                        "GET", .auth, "/v1/auth/audit?address=198.51.100.7", token: try suite.ownerKey)
                    return answer["data"]?.array?.map { $0["reason"] } == ["throttled"]
                }
            }
        }
    }

    @Test func `its months are made ahead, and dropped when they are old`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await LoginTests.with(databaseURL: url) { suite in
                func exists(_ table: String) async throws -> Bool {
                    let rows = try await Suite.query(url, "SELECT to_regclass(\(table))::text AS name")
                    return try rows.first?.decode("name", as: String?.self) != nil
                }
                let month = Timestamp.now.iso8601.prefix(7).filter { $0 != "-" }
                try await Suite.eventually("this month is there") { try await exists("audit_\(month)") }
                // The first entries, which came before it, are in it.
                #expect(try await Suite.query(url, "SELECT id FROM audit_default").isEmpty)
                #expect(try await !Suite.query(url, "SELECT id FROM audit WHERE action = 'user.create'").isEmpty)
                try await Suite.query(
                    url, "CREATE TABLE audit_202001 PARTITION OF audit FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')"
                )
                try await Suite.query(
                    url,
                    "INSERT INTO audit (id, time, action, outcome) VALUES ('0', '2020-01-05', 'key.create', 'done')")
                #expect(try await Self.entries(suite, "until=2021-01-01T00:00:00Z").count == 1)
                try await suite.end("auth", SIGTERM)
                try suite.start(.auth)
                try await suite.waitUntilReady(.auth)
                try await Suite.eventually("the old month is dropped") { try await !exists("audit_202001") }
                #expect(try await Self.entries(suite, "until=2021-01-01T00:00:00Z").isEmpty)
            }
        }
    }
}
