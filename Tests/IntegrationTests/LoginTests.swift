import Database
import Events
import Foundation
import TestSupport
import Testing

/// Sign-in with a password in Grimnir's words (contract grimnir §9), and what becomes of a session.
@Suite("Login", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct LoginTests {
    static let password = "on the air since 1994"

    /// A suite whose owner has a password.
    static func with(
        _ services: [ServiceName] = [.auth], databaseURL: String? = nil, environment: [String: String] = [:],
        _ body: (Suite) async throws -> Void
    ) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "owner-\(UUID().uuidString).password")
        try "\(Self.password)\n".write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        try await Suite.with(
            services, gateways: 0, databaseURL: databaseURL,
            environment: ["AUTH_OWNER_EMAIL": "Owner@localhost", "AUTH_OWNER_PASSWORD_FILE": file.path].merging(
                environment
            ) { $1 }, body)
    }

    static func claims(_ token: String) throws -> JSON {
        let parts = token.split(separator: ".").map(String.init)
        try #require(parts.count == 3)
        return try #require(AuthTests.base64URL(parts[1]).flatMap { JSON(parsing: Array($0)) })
    }

    static func logIn(
        _ suite: Suite, _ email: String, _ password: String, station: String? = nil
    ) async throws -> Suite.Answer {
        var body: [String: JSON] = ["email": .string(email), "password": .string(password)]
        if let station { body["station_id"] = .string(station) }
        return try await suite.request("POST", .auth, "/api/v1/auth/login", .object(body))
    }

    static func refresh(_ suite: Suite, _ token: String) async throws -> Suite.Answer {
        try await suite.request("POST", .auth, "/api/v1/auth/refresh", ["refresh_token": .string(token)])
    }

    @Test func `the owner signs in, with everything of the default tenant and auth itself`() async throws {
        try await Self.with { suite in
            let answer = try await Self.logIn(suite, "owner@LOCALHOST", Self.password)
            #expect(answer.status == 200, "\(answer.body)")
            #expect(answer.headers["cache-control"] == "no-store")
            #expect(
                Set(try #require(answer.body.object).keys)
                    == ["access_token", "token_type", "expires_in", "refresh_token"])
            #expect(answer["token_type"] == "Bearer" && answer["expires_in"] == 900)
            let token = try #require(answer["access_token"]?.string)
            let claims = try Self.claims(token)
            #expect(claims["scope"] == "* auth:admin" && claims["tenant"] == "default")
            #expect(claims["roles"] == ["owner", "platform_admin"] && claims["sid"]?.string != nil)
            #expect(claims["uid"] == claims["sub"] && claims["station_id"] == nil)
            #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: token).status == 200)
            for secret in [Self.password, token, try #require(answer["refresh_token"]?.string)] {
                #expect(!suite.log("auth").contains(secret))
            }
        }
    }

    @Test func `a refresh token counts once, and shown again it ends the session`() async throws {
        try await Self.with { suite in
            let first = try await Self.logIn(suite, "owner@localhost", Self.password)
            let other = try await Self.logIn(suite, "owner@localhost", Self.password)
            let old = try #require(first["refresh_token"]?.string)
            let second = try await Self.refresh(suite, old)
            #expect(second.status == 200, "\(second.body)")
            let new = try #require(second["refresh_token"]?.string)
            #expect(new != old && second["expires_in"] == 900)
            let (one, two) = (
                try Self.claims(try #require(first["access_token"]?.string)),
                try Self.claims(try #require(second["access_token"]?.string))
            )
            #expect(one["sid"] == two["sid"] && one["jti"] != two["jti"])

            let reused = try await Self.refresh(suite, old)
            #expect(reused.status == 401 && reused.body == ["error": "unauthorized"])
            #expect(try await Self.refresh(suite, new).status == 401)
            let events = try await suite.events(.auth, "auth.revoked", room: "", token: try suite.ownerKey)
            #expect(events.map { $0["kind"] } == ["session"])
            #expect(events.first?["id"] == one["sid"])
            // Another sign-in of the same user goes on.
            #expect(try await Self.refresh(suite, try #require(other["refresh_token"]?.string)).status == 200)
        }
    }

    @Test func `refresh tokens that nobody was given are soon not looked at, and a good one still is`() async throws {
        try await Self.with { suite in
            let good = try #require(
                try await Self.logIn(suite, "owner@localhost", Self.password)["refresh_token"]?.string)
            let client = try await OAuth2TestClient.make(suite, ["type": "public"])
            func unknown(_ number: Int) -> String {
                number.isMultiple(of: 2)
                    ? "xprt_\(number)" : "xprt_" + String(repeating: "\(number)", count: 64).prefix(64)
            }
            for number in 0..<10 {
                #expect(try await Self.refresh(suite, unknown(number)).status == 401)
                let answer = try await client.refresh(unknown(number))
                #expect(answer.status == 400 && answer["error"] == "invalid_grant")
            }
            let refused = try await Self.refresh(suite, unknown(0))
            #expect(refused.status == 429 && refused.body == ["error": "rate_limited"])
            #expect(refused.headers["retry-after"] == "1")
            let told = try await client.refresh(unknown(1))
            #expect(told.status == 429 && told["error"] == "temporarily_unavailable")
            #expect(try await Self.refresh(suite, good).status == 200)
            try await Suite.eventually("the refusals are written") {
                let written = try await AuditTests.entries(suite, "action=session.refresh&outcome=refused")
                return ["unknown": 20, "throttled": 2].allSatisfy { reason, count in
                    let alike = written.filter { $0["reason"] == .string(reason) }
                    return alike.reduce(0) { $0 + Int($1["count"]?.double ?? 0) } == count
                }
            }
        }
    }

    @Test func `a refresh token that nobody was given does not wait for the writer`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Self.with(databaseURL: url) { suite in
                func locks(granted: Bool) async throws -> Int {
                    try await Suite.query(
                        url,
                        """
                        SELECT 1 FROM pg_locks WHERE relation = 'auth.channels'::regclass AND granted = \(granted)
                            AND mode IN ('AccessExclusiveLock', 'RowExclusiveLock')
                        """
                    ).count
                }
                async let holding = Suite.query(
                    url, "DO $$ BEGIN LOCK TABLE auth.channels; PERFORM pg_sleep(5); END $$")
                try await Suite.eventually("the table is locked") { try await locks(granted: true) == 1 }
                async let made = suite.request(
                    "POST", .auth, "/v1/auth/channels", ["id": "north"], token: try suite.ownerKey)
                try await Suite.eventually("the writer waits") { try await locks(granted: false) == 1 }
                let unknown = "xprt_" + String(repeating: "0", count: 64)
                for token in ["xprt_", unknown] { #expect(try await Self.refresh(suite, token).status == 401) }
                #expect(try await locks(granted: false) == 1)
                _ = try await holding
                #expect(try await made.status == 201)
            }
        }
    }

    @Test func `a session that ended is named for as long as a token that it made can live`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Self.with(databaseURL: url) { suite in
                let signedIn = try await Self.logIn(suite, "owner@localhost", Self.password)
                let token = try #require(signedIn["refresh_token"]?.string)
                _ = try await Self.refresh(suite, token)
                #expect(try await Self.refresh(suite, token).status == 401)
                let rows = try await Suite.query(
                    url,
                    "SELECT forgotten_at > now() + interval '29 days' AS is_kept FROM revocations WHERE kind = 'session'"
                )
                #expect(try rows.map { try $0.decode("is_kept", as: Bool.self) } == [true])
            }
        }
    }

    @Test func `of many who show a refresh token at once, at most one gets another`() async throws {
        try await Self.with { suite in
            let signedIn = try await Self.logIn(suite, "owner@localhost", Self.password)
            let token = try #require(signedIn["refresh_token"]?.string)
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 { group.addTask { try await Self.refresh(suite, token).status } }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(statuses.filter { $0 == 200 }.count == 1 && statuses.filter { $0 == 401 }.count == 7)
        }
    }

    @Test func `an access token of a sign-in gets another, and takes the refresh token's place`() async throws {
        try await Self.with { suite in
            let signedIn = try await Self.logIn(suite, "owner@localhost", Self.password)
            let token = try #require(signedIn["access_token"]?.string)
            let again = try await suite.request("POST", .auth, "/api/v1/auth/refresh", token: token)
            #expect(again.status == 200, "\(again.body)")
            #expect(try await Self.refresh(suite, try #require(again["refresh_token"]?.string)).status == 200)
            // The first one is used, so somebody else has it.
            #expect(try await Self.refresh(suite, try #require(signedIn["refresh_token"]?.string)).status == 401)
            // A credential of no sign-in has none to go on with.
            for credential in [try suite.ownerKey, try await suite.token()] {
                let refused = try await suite.request("POST", .auth, "/api/v1/auth/refresh", token: credential)
                #expect(refused.status == 401 && refused.body == ["error": "unauthorized"])
            }
            let bad = try await suite.request("POST", .auth, "/api/v1/auth/refresh", token: "nonsense")
            #expect(bad.status == 401 && bad.body == ["error": "unauthorized"])
        }
    }

    @Test func `five failures in a row put an account off, whatever the password, and no other`() async throws {
        try await Self.with { suite in
            let other = try await suite.request(
                "POST", .auth, "/v1/auth/users",
                [
                    "email": "b@x", "password": .string(Self.password),
                    "roles": [["channel": "default", "role": "viewer"]],
                ], token: try suite.ownerKey)
            #expect(other.status == 201)
            for _ in 0..<5 {
                let wrong = try await Self.logIn(suite, "OWNER@localhost", "not the password")
                #expect(wrong.status == 401 && wrong.body == ["error": "invalid_credentials"])
                #expect(wrong.headers["www-authenticate"] != nil)
            }
            let refused = try await Self.logIn(suite, "owner@localhost", Self.password)
            #expect(refused.status == 429 && refused.body == ["error": "rate_limited"])
            #expect(refused.headers["retry-after"] == "1")
            #expect(try await Self.logIn(suite, "b@x", Self.password).status == 200)
            try await Suite.eventually("the pause ends", within: .seconds(10)) {
                try await Self.logIn(suite, "owner@localhost", Self.password).status == 200
            }
            // The account begins anew.
            for _ in 0..<4 { #expect(try await Self.logIn(suite, "owner@localhost", "not the password").status == 401) }
            #expect(try await Self.logIn(suite, "owner@localhost", Self.password).status == 200)
        }
    }

    @Test func `twenty failures put an address off, and what a proxy says of it counts`() async throws {
        try await Self.with(environment: ["HTTP_TRUSTED_PROXIES": "127.0.0.1"]) { suite in
            func logIn(_ email: String, _ password: String, from address: String) async throws -> Int {
                try await suite.request(
                    "POST", .auth, "/api/v1/auth/login", ["email": .string(email), "password": .string(password)],
                    headers: [("X-Forwarded-For", "10.0.0.1, \(address)")]
                ).status
            }
            for number in 0..<20 {
                let wrong = try await logIn("user\(number)@x", "not the password", from: "203.0.113.5")
                #expect(wrong == 401)
            }
            let statuses = [
                try await logIn("owner@localhost", Self.password, from: "203.0.113.5"),
                try await logIn("owner@localhost", Self.password, from: "203.0.113.6"),
            ]
            #expect(statuses == [429, 200])
        }
    }

    @Test func `a hash that is cheaper to guess than it should be is made anew`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Self.with(databaseURL: url) { suite in
                // Of the password `correct horse battery`.
                let old = "$scrypt$ln=10,r=8,p=1$U29kaXVtQ2hsb3JpZGU$RepjvZ9gD47oPIlRDsLkVb+BiS4PlF8APNA0dwMQ900"
                try await Suite.query(url, "UPDATE users SET password_hash = \(old)")
                #expect(try await Self.logIn(suite, "owner@localhost", "correct horse batterY").status == 401)
                #expect(try await Self.logIn(suite, "owner@localhost", "correct horse battery").status == 200)
                let row = try #require(try await Suite.query(url, "SELECT password_hash FROM users").first)
                #expect(try row.decode("password_hash", as: String.self).hasPrefix("$scrypt$ln=10,r=8,p=3$"))
                #expect(try await Self.logIn(suite, "owner@localhost", "correct horse battery").status == 200)
            }
        }
    }

    @Test func `the owner's user is made once, and a later file changes nothing`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Self.with(databaseURL: url) { suite in
                let list = try await suite.request("GET", .auth, "/v1/auth/users", token: try suite.ownerKey)
                #expect(list["data"]?.array?.count == 1)
                let id = try #require(list["data"]?.array?.first?["id"]?.string)
                let answer = try await suite.request(
                    "PUT", .auth, "/v1/auth/users/\(id)/password", ["password": "not what the file says"],
                    token: try suite.ownerKey)
                #expect(answer.status == 204, "\(answer.body)")
                try await suite.end("auth", SIGTERM)
                try suite.start(.auth)
                try await suite.waitUntilReady(.auth)
                #expect(try await Self.logIn(suite, "owner@localhost", Self.password).status == 401)
                #expect(try await Self.logIn(suite, "owner@localhost", "not what the file says").status == 200)
            }
        }
    }

    @Test(
        arguments: [
            (["AUTH_OWNER_EMAIL": "a@x"], "auth.owner.password.file"),
            (["AUTH_OWNER_PASSWORD_FILE": "/dev/null"], "auth.owner.email"),
            (["AUTH_OWNER_EMAIL": "nobody", "AUTH_OWNER_PASSWORD_FILE": "/dev/null"], "auth.owner.email"),
            (["AUTH_OWNER_EMAIL": "a@x", "AUTH_OWNER_PASSWORD_FILE": "/nowhere"], "auth.owner.password.file"),
            (["AUTH_OWNER_EMAIL": "a@x", "AUTH_OWNER_PASSWORD_FILE": "/dev/null"], "auth.owner.password.file"),
            (["AUTH_PASSWORD_COST": "9"], "auth.password.cost"),
            (["AUTH_AUDIT_RETENTION_DAYS": "0"], "auth.audit.retentionDays"),
        ])
    func `a setting that cannot be used ends the process with its name`(
        environment: [String: String], key: String
    ) async throws {
        try await PostgresFixture.withDatabase { url in
            let suite = try Suite(databaseURL: url, environment: environment)
            try await suite.use {
                try suite.start(.auth)
                try await Suite.eventually("auth ends") { !suite.isRunning("auth") }
                #expect(suite.log("auth").contains("\(key) "))
            }
        }
    }
}
