import Database
import Events
import Foundation
import TestSupport
import Testing

/// What a user's programs may do to them, and how far programs outlive or outgrow whoever made them.
@Suite("Account credentials", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AccountCredentialTests {
    private static func makeClient(
        _ suite: Suite, _ token: String, _ grants: [String], scope: String
    ) async throws -> OAuth2TestClient {
        let isForUsers = grants.contains("authorization_code")
        let answer = try await suite.request(
            "POST", .auth, "/v1/oauth2/clients",
            [
                "name": "c", "scope": .string(scope), "grants": .array(grants.map(JSON.string)),
                "redirect_uris": isForUsers ? [.string(OAuth2TestClient.redirect)] : [],
            ], token: token)
        try #require(answer.status == 201, "\(answer.body)")
        return OAuth2TestClient(
            suite: suite, id: try #require(answer["client_id"]?.string), secret: answer["client_secret"]?.string)
    }

    private static func token(_ client: OAuth2TestClient) async throws -> Suite.Answer {
        try await client.send("/oauth2/token", [("grant_type", "client_credentials")])
    }

    private static func isRevoked(_ client: OAuth2TestClient) async throws -> Bool {
        let shown = try await client.suite.request(
            "GET", .auth, "/v1/oauth2/clients/\(client.id)", token: try client.suite.ownerKey)
        try #require(shown.status == 200)
        return shown["revoked_at"]?.string != nil
    }

    @Test func `clients that get tokens in their own name end with what their maker may do`() async throws {
        try await LoginTests.with { suite in
            let owner = try suite.ownerKey
            let id = try await AccountsTests.make(suite, "a@x", [AccountsTests.role("default", "admin")])
            let access = try await AccountsTests.signIn(suite, "a@x").access
            let machine = ["client_credentials"]
            let strong = try await Self.makeClient(suite, access, machine, scope: "*")
            let weak = try await Self.makeClient(suite, access, machine, scope: "streams:read")
            let people = try await Self.makeClient(suite, access, ["authorization_code"], scope: "*")
            let held = try #require(try await Self.token(strong)["access_token"]?.string)
            let child = try await Self.makeClient(suite, held, machine, scope: "streams:read")
            let key = try await suite.request(
                "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["keys:write"]], token: held)
            let grandchild = try await suite.request(
                "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["keys:write"]], token: key["key"]?.string)
            #expect(grandchild.status == 201)
            let shown = try await suite.request("GET", .auth, "/v1/oauth2/clients/\(strong.id)", token: owner)
            #expect(shown["created_by"] == .string(id))

            let path = "/v1/auth/users/\(id)"
            let manager: JSON = ["roles": [AccountsTests.role("default", "manager")]]
            #expect(try await suite.request("PUT", .auth, "\(path)/roles", manager, token: owner).status == 200)
            for client in [strong, child] {
                #expect(try await Self.isRevoked(client))
                #expect(try await Self.token(client)["error"] == "invalid_client")
            }
            for gone in [held, key["key"]?.string, grandchild["key"]?.string] {
                #expect(try await suite.request("GET", .auth, "/v1/auth/me", token: gone).status == 401)
            }
            #expect(try await Self.token(weak).status == 200)
            #expect(try await !Self.isRevoked(people))
            let entries = try await AuditTests.entries(suite, "action=client.revoke&target=\(strong.id)")
            #expect(entries.map { $0["reason"] } == ["user.update"] && entries[0]["tenant"] == "default")

            #expect(try await suite.request("DELETE", .auth, path, token: owner).status == 204)
            #expect(try await Self.isRevoked(weak))
            // Whoever agreed to it gave it what it has.
            #expect(try await !Self.isRevoked(people))
        }
    }

    @Test func `only a sign-in signs its user out everywhere and sees all of them`() async throws {
        try await LoginTests.with { suite in
            try await AccountsTests.channel(suite, "north")
            let id = try await AccountsTests.make(
                suite, "a@x", [AccountsTests.role("default", "admin"), AccountsTests.role("north", "dj")])
            let access = try await AccountsTests.signIn(suite, "a@x").access
            let made = try await suite.request(
                "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["radio:read"], "stations": ["s1"]],
                token: access)
            let client = try await OAuth2TestClient.make(suite)
            let browser = OAuth2Browser(suite)
            try await browser.signIn("a@x", AccountsTests.password)
            let page = try await browser.decide("allow", on: client.request(["tenant": "default"]))
            let session = try await client.exchange(try #require(page.parameters["code"]))
            for (token, scopes) in [
                (made["key"]?.string, ["radio:read"]),
                (session["access_token"]?.string, ["radio:read", "streams:read"]),
            ] as [(String?, [JSON])] {
                let me = try await suite.request("GET", .auth, "/v1/auth/me", token: token)
                #expect(me.status == 200 && me["user"] == ["id": .string(id), "name": "a"], "\(me.body)")
                #expect(me["scopes"] == .array(scopes) && me["tenant"] == "default")
                let refused = try await suite.request("POST", .auth, "/v1/auth/users/\(id)/revoke", token: token)
                #expect(refused.status == 403 && refused["error"]?["details"]?["scope"] == "users:write")
            }
            let me = try await suite.request("GET", .auth, "/v1/auth/me", token: access)
            #expect(me["user"]?["email"] == "a@x" && me["user"]?["roles"]?.array?.count == 2)
            #expect(try await suite.request("POST", .auth, "/v1/auth/users/\(id)/revoke", token: access).status == 204)
            #expect(try await suite.request("GET", .auth, "/v1/auth/me", token: access).status == 401)
        }
    }

    @Test func `nobody has more roles in a channel than a token has room for, whoever gives them`() async throws {
        try await LoginTests.with { suite in
            let roles = (1...50).map { AccountsTests.role("default", "dj", station: "t\($0)") }
            let id = try await AccountsTests.make(suite, "a@x", roles)
            _ = try await AccountsTests.make(
                suite, "chief@x",
                [
                    AccountsTests.role("default", "admin", station: "t1"),
                    AccountsTests.role("default", "admin", station: "s"),
                ])
            let chief = try await AccountsTests.signIn(suite, "chief@x").access
            let path = "/v1/auth/users/\(id)/roles"
            let more = [AccountsTests.role("default", "dj", station: "s"), roles[0]]
            let refused = try await suite.request("PUT", .auth, path, ["roles": .array(more)], token: chief)
            #expect(refused.status == 400 && refused["error"]?["details"]?["field"] == "roles")
            let other: JSON = ["roles": [more[0]]]
            #expect(try await suite.request("PUT", .auth, path, other, token: chief).status == 200)
        }
    }

    @Test func `a client has so many tokens that have not ended, given back or not, and each of its users`()
        async throws
    {
        try await PostgresFixture.withDatabase { url in
            try await LoginTests.with(databaseURL: url) { suite in
                let client = try await OAuth2TestClient.make(
                    suite, ["grants": ["client_credentials", "authorization_code", "refresh_token"]])
                let session = try await client.exchange(
                    try await OAuth2Tests.code(try await OAuth2Tests.browser(suite), client))
                let refresh = try #require(session["refresh_token"]?.string)
                try await Suite.query(
                    url,
                    """
                    INSERT INTO access_tokens (id, client_id, name, tenant, scope, subject, expires_at, revoked_at)
                    SELECT subject || n, \(client.id), 'n', 'default', 's', subject, now() + interval '1 hour', now()
                    FROM generate_series(1, 4999) AS n, (
                        SELECT \(client.id) AS subject UNION SELECT subject FROM access_tokens WHERE session_id IS NOT NULL
                    ) AS subjects
                    """)
                #expect(try await Self.token(client).status == 200)
                for refused in [try await Self.token(client), try await client.refresh(refresh)] {
                    #expect(refused.status == 429 && refused["error"] == "temporarily_unavailable", "\(refused.body)")
                    #expect(refused.headers["retry-after"] == "60")
                }
                // Another one has its own.
                let other = try await OAuth2TestClient.make(
                    suite, ["grants": ["client_credentials"], "redirect_uris": []])
                #expect(try await Self.token(other).status == 200)
                try await Suite.query(
                    url, "UPDATE access_tokens SET expires_at = now() WHERE id = subject || '1'")
                #expect(try await Self.token(client).status == 200)
                // The refusal has not used it up.
                #expect(try await client.refresh(refresh).status == 200)
            }
        }
    }
}
