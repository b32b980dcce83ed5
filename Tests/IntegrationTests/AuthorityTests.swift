import Database
import Events
import Foundation
import TestSupport
import Testing

/// Authority never grows: what is made with a credential, or exchanged for one, does nothing that the credential could not.
@Suite("Authority", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AuthorityTests {
    private static let owner = (email: "owner@localhost", password: LoginTests.password)

    private static func bearerRefresh(_ suite: Suite, _ token: String, agent: String? = nil) async throws
        -> Suite.Answer
    {
        try await suite.request(
            "POST", .auth, "/api/v1/auth/refresh", token: token, headers: agent.map { [("User-Agent", $0)] } ?? [])
    }

    private static func access(_ answer: Suite.Answer) throws -> String {
        try #require(answer["access_token"]?.string, "\(answer.status) \(answer.body)")
    }

    private static func isGood(_ suite: Suite, _ token: String) async throws -> Bool {
        try await suite.request("GET", .auth, "/v1/auth/me", token: token).status == 200
    }

    // MARK: every endpoint that answers with a credential

    @Test func `no endpoint answers with more than it was shown`() async throws {
        try await LoginTests.with { suite in
            let stage = try await AuthorityStage(suite)
            for row in AuthorityTable.rows {
                var given = 0
                for presented in try await stage.presented() {
                    for result in try await row.attempt(stage, presented) {
                        given += 1
                        let excess = stage.excess(of: result, over: presented)
                        #expect(excess.isEmpty, "\(row.operations): \(presented.name): \(result.what): \(excess)")
                    }
                }
                // A row that is always refused proves nothing.
                #expect(given >= row.givenMin, "\(row.operations): only \(given)")
            }
        }
    }

    @Test func `every documented endpoint that answers with a credential is in the table`() throws {
        let documented = try CredentialOperations.documented()
        #expect(documented.count >= 9)
        #expect(documented == Set(AuthorityTable.rows.flatMap(\.operations)))
    }

    // MARK: tokens of a sign-in

    @Test(arguments: ["jwt", "oauth2"])
    func `a narrow token that a signed-in owner made is neither the owner nor their sign-in`(type: String) async throws
    {
        try await LoginTests.with { suite in
            let signedIn = try await LoginTests.logIn(suite, Self.owner.email, Self.owner.password)
            let access = try Self.access(signedIn)
            let made = try await suite.request(
                "POST", .auth, "/v1/tokens", ["type": .string(type), "tenant": "guest", "scope": "radio:read"],
                token: access)
            let narrow = try #require(made["token"]?.string, "\(made.body)")
            #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: narrow).status == 403)
            let refused = try await Self.bearerRefresh(suite, narrow)
            #expect(refused.status == 401 && refused.body == ["error": "unauthorized"], "\(refused.body)")
            let me = try await suite.request("GET", .auth, "/v1/auth/me", token: narrow)
            #expect(me.status == 200 && me["user"]?["email"] == nil && me["user"]?["roles"] == nil, "\(me.body)")
            #expect(me["scopes"] == ["radio:read"] && me["tenant"] == "guest")
            let owner = try #require(me["subject"]?.string)
            let revoke = "/v1/auth/users/\(owner)/revoke"
            #expect(try await suite.request("POST", .auth, revoke, token: narrow).status == 403)
            // The refusals end nothing, and the sign-in itself can do all of it.
            #expect(try await suite.request("GET", .auth, "/v1/auth/me", token: access)["user"]?["email"] != nil)
            let second = try await Self.bearerRefresh(suite, access)
            #expect(try LoginTests.claims(try Self.access(second))["scope"] == "* auth:admin")
            try await Suite.eventually("the refusal is written") {
                try await AuditTests.entries(suite, "action=session.refresh&outcome=refused").contains {
                    $0["reason"] == "not issued by a sign-in"
                }
            }
            #expect(try await suite.request("POST", .auth, revoke, token: try Self.access(second)).status == 204)
            #expect(try await !Self.isGood(suite, narrow))
        }
    }

    @Test func `what a sign-in makes ends with its session, by time or by revocation`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await LoginTests.with(databaseURL: url) { suite in
                let signedIn = try await LoginTests.logIn(suite, Self.owner.email, Self.owner.password)
                let access = try Self.access(signedIn)
                func make(_ path: String, _ body: JSON, _ member: String) async throws -> (value: String, JSON) {
                    let answer = try await suite.request("POST", .auth, path, body, token: access)
                    return (try #require(answer[member]?.string, "\(answer.status) \(answer.body)"), answer.body)
                }
                let month: Int64 = 30 * 86_400
                let jwt = try await make("/v1/tokens", ["type": "jwt", "ttl_seconds": .integer(month)], "token").value
                let opaque = try await make(
                    "/v1/tokens", ["type": "oauth2", "ttl_seconds": .integer(month)], "token"
                ).value
                let rows = try await Suite.query(url, "SELECT expires_at FROM sessions")
                let end = try #require(try rows.first?.decode("expires_at", as: Timestamp.self))
                for token in [jwt, opaque] { #expect(try await Self.end(suite, token) <= end) }
                let (key, shown) = try await make(
                    "/v1/auth/keys", ["name": "k", "scopes": ["keys:write", "radio:read"]], "key")
                let keyEnd = try #require(shown["expires_at"]?.string.flatMap(Timestamp.init(iso8601:)))
                #expect(keyEnd <= end && keyEnd > end - .seconds(2))
                let (_, year) = try await make(
                    "/v1/auth/keys", ["name": "k", "scopes": ["radio:read"], "expires_in_days": 365], "key")
                #expect(year["expires_at"] == shown["expires_at"])
                let (secret, client) = try await make(
                    "/v1/oauth2/clients", ["name": "c", "scope": "radio:read"], "client_secret")
                #expect(client["expires_at"] == shown["expires_at"])
                let (_, people) = try await make(
                    "/v1/oauth2/clients",
                    [
                        "name": "p", "scope": "radio:read", "grants": ["authorization_code"],
                        "redirect_uris": ["https://client.example/cb"],
                    ], "client_id")
                #expect(people["expires_at"] == nil)
                let machine = OAuth2TestClient(
                    suite: suite, id: try #require(client["client_id"]?.string), secret: secret)
                let grant: [(String, String?)] = [("grant_type", "client_credentials")]
                #expect(try await machine.send("/oauth2/token", grant).status == 200)
                try await Suite.query(
                    url, "UPDATE oauth_clients SET expires_at = now() + interval '5 seconds' WHERE id = \(machine.id)")
                let short = try await machine.send("/oauth2/token", grant)
                #expect(short.status == 200 && short["expires_in"]?.double ?? 99 <= 5, "\(short.body)")
                try await Suite.query(url, "UPDATE oauth_clients SET expires_at = now() WHERE id = \(machine.id)")
                #expect(try await machine.send("/oauth2/token", grant)["error"] == "invalid_client")

                // Reuse of the refresh token ends the session, and all that was made in it.
                let refresh = try #require(signedIn["refresh_token"]?.string)
                #expect(try await LoginTests.refresh(suite, refresh).status == 200)
                for token in [jwt, opaque, key] { #expect(try await Self.isGood(suite, token)) }
                #expect(try await LoginTests.refresh(suite, refresh).status == 401)
                for token in [access, jwt, opaque, key] { #expect(try await !Self.isGood(suite, token)) }
            }
        }
    }

    @Test func `keys and machine clients end with a session that was stolen, and outlast a sign-out`() async throws {
        try await LoginTests.with { suite in
            func signIn() async throws -> (access: String, refresh: String) {
                try await AccountsTests.signIn(suite, Self.owner.email, password: Self.owner.password)
            }
            func key(_ token: String) async throws -> (id: String, key: String) {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["*", "auth:admin"]], token: token)
                return (
                    try #require(answer["id"]?.string, "\(answer.body)"), try #require(answer["key"]?.string)
                )
            }
            func token(_ token: String, _ type: String) async throws -> String {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/tokens", ["type": .string(type), "scope": "* auth:admin"], token: token)
                return try #require(answer["token"]?.string, "\(answer.body)")
            }
            func client(_ token: String) async throws -> OAuth2TestClient {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/oauth2/clients", ["name": "c", "scope": "radio:read"], token: token)
                return OAuth2TestClient(
                    suite: suite, id: try #require(answer["client_id"]?.string, "\(answer.body)"),
                    secret: answer["client_secret"]?.string)
            }
            let grant: [(String, String?)] = [("grant_type", "client_credentials")]

            // An ordinary end of the session.
            let first = try await signIn()
            let (kept, keptClient) = (try await key(first.access), try await client(first.access))
            let me = try await suite.request("GET", .auth, "/v1/auth/me", token: first.access)
            let path = "/v1/auth/users/\(try #require(me["subject"]?.string))/revoke"
            #expect(try await suite.request("POST", .auth, path, token: first.access).status == 204)
            #expect(try await !Self.isGood(suite, first.access))

            // A token of the next one is stolen: made with it, with what it made, and so on.
            let second = try await signIn()
            let signed = try await token(second.access, "jwt")
            let keys = [try await key(second.access), try await key(signed)]
            let ofKey = [try await token(keys[0].key, "jwt"), try await token(keys[0].key, "oauth2")]
            let ofToken = try await key(ofKey[0])
            let rotated = try await suite.request("POST", .auth, "/v1/auth/keys/\(kept.id)/rotate", token: keys[0].key)
            let next = try #require(rotated["new_key"]?.string, "\(rotated.body)")
            let clients = [try await client(second.access), try await client(ofToken.key)]
            var issued: [String] = []
            for client in clients {
                let answer = try await client.send("/oauth2/token", grant)
                issued.append(try #require(answer["access_token"]?.string, "\(answer.body)"))
            }
            let all = keys.map(\.key) + ofKey + [ofToken.key, signed, next] + issued
            for credential in all { #expect(try await Self.isGood(suite, credential)) }
            #expect(try await LoginTests.refresh(suite, second.refresh).status == 200)
            #expect(try await LoginTests.refresh(suite, second.refresh).status == 401)
            for (index, credential) in all.enumerated() {
                #expect(try await !Self.isGood(suite, credential), "\(index)")
            }
            for client in clients {
                #expect(try await client.send("/oauth2/token", grant)["error"] == "invalid_client")
            }
            #expect(try await Self.isGood(suite, kept.key))
            #expect(try await keptClient.send("/oauth2/token", grant).status == 200)
            let revoked = try await suite.call(FetchRevocations(after: 0)).revocations
            for (kind, id) in [
                (.apiKey, keys[0].id), (.apiKey, ofToken.id), (.client, clients[1].id),
            ] as [(CredentialRevoked.Kind, String)] {
                #expect(revoked.contains { $0.kind == kind && $0.id == id })
            }
            let session = try #require(try LoginTests.claims(second.access)["sid"]?.string)
            let entries = try await AuditTests.entries(suite, "action=key.revoke&target=\(keys[1].id)")
            #expect(entries.map { $0["reason"]?.string } == ["session \(session)"])
        }
    }

    private static func end(_ suite: Suite, _ token: String) async throws -> Timestamp {
        try #require(try await AuthorityStage.worth(of: token, suite).expires)
    }

    @Test func `a session never has more than when it began, whatever its user becomes`() async throws {
        try await LoginTests.with { suite in
            try await AccountsTests.channel(suite, "north")
            let id = try await AccountsTests.make(suite, "a@x", [AccountsTests.role("north", "dj", station: "s1")])
            var token = try await AccountsTests.signIn(suite, "a@x").access
            let roles = [
                AccountsTests.role("north", "manager", station: "s1"),
                AccountsTests.role("north", "manager", station: "s2"),
            ]
            let owner = try suite.ownerKey
            let path = "/v1/auth/users/\(id)"
            #expect(
                try await suite.request("PUT", .auth, "\(path)/roles", ["roles": .array(roles)], token: owner).status
                    == 200)
            #expect(try await suite.request("PATCH", .auth, path, ["owner": true], token: owner).status == 200)
            let before = try LoginTests.claims(token)
            token = try Self.access(try await Self.bearerRefresh(suite, token))
            let after = try LoginTests.claims(token)
            for claim in ["scope", "tenant", "stations", "station_id", "roles", "tier"] {
                #expect(before[claim] == after[claim], "\(claim)")
            }
            let anew = try LoginTests.claims(try await AccountsTests.signIn(suite, "a@x", station: "s2").access)
            #expect(anew["stations"] == ["s2"] && anew["roles"] == ["manager", "platform_admin"])
        }
    }

    // MARK: refresh by a bearer token

    @Test func `two tabs at once get the same successor, and whoever comes later ends the session`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await LoginTests.with(databaseURL: url) { suite in
                func signIn() async throws -> String {
                    try Self.access(try await LoginTests.logIn(suite, Self.owner.email, Self.owner.password))
                }
                let first = try await signIn()
                let answers = try await withThrowingTaskGroup(of: Suite.Answer.self) { group in
                    for _ in 0..<3 { group.addTask { try await Self.bearerRefresh(suite, first, agent: "tab") } }
                    return try await group.reduce(into: [Suite.Answer]()) { $0.append($1) }
                }
                #expect(answers.map(\.status) == [200, 200, 200])
                let second = try Self.access(answers[0])
                #expect(Set(answers.map { $0["access_token"] }).count == 1)
                #expect(Set(answers.map { $0["refresh_token"] }).count == 1)
                // A lost answer: the same again.
                #expect(try Self.access(try await Self.bearerRefresh(suite, first, agent: "tab")) == second)
                let refresh = try #require(answers[0]["refresh_token"]?.string)
                let stored = try await Suite.query(url, "SELECT s::text AS row FROM sessions AS s")
                for row in try stored.map({ try $0.decode("row", as: String.self) }) {
                    #expect(!row.contains(second) && !row.contains(refresh))
                }
                // The newest goes on; one that is older than the one that was just replaced ends it all.
                let third = try Self.access(try await Self.bearerRefresh(suite, second, agent: "tab"))
                let session = try #require(try LoginTests.claims(first)["sid"]?.string)
                #expect(try await Self.bearerRefresh(suite, first, agent: "tab").status == 401)
                for token in [first, second, third] { #expect(try await !Self.isGood(suite, token)) }
                try await Self.requireReuse(suite, session)

                // From another device, at once.
                let stolen = try await signIn()
                let next = try Self.access(try await Self.bearerRefresh(suite, stolen, agent: "tab"))
                #expect(try await Self.bearerRefresh(suite, stolen, agent: "thief").status == 401)
                #expect(try await !Self.isGood(suite, next))
                try await Self.requireReuse(suite, try #require(try LoginTests.claims(stolen)["sid"]?.string))

                // From the same one, later.
                let late = try await signIn()
                let answer = try Self.access(try await Self.bearerRefresh(suite, late, agent: "tab"))
                try await Suite.query(url, "UPDATE sessions SET replaced_at = replaced_at - interval '31 seconds'")
                #expect(try await Self.bearerRefresh(suite, late, agent: "tab").status == 401)
                #expect(try await !Self.isGood(suite, answer))
                try await Suite.eventually("no answer is kept") {
                    try await Suite.query(url, "SELECT 1 FROM sessions WHERE successor IS NOT NULL").isEmpty
                }
            }
        }
    }

    /// The audit log tells of the end of the session, and of the refusal.
    private static func requireReuse(_ suite: Suite, _ session: String) async throws {
        let ended = try await AuditTests.entries(suite, "action=session.revoke&target=\(session)")
        #expect(ended.map { $0["reason"] } == ["reuse"])
        try await Suite.eventually("the refusal is written") {
            try await AuditTests.entries(suite, "action=session.refresh&outcome=refused&target=\(session)").contains {
                $0["reason"] == "reuse"
            }
        }
    }

    @Test func `a refresh token also replaces the newest access token`() async throws {
        try await LoginTests.with { suite in
            let signedIn = try await LoginTests.logIn(suite, Self.owner.email, Self.owner.password)
            let first = try Self.access(signedIn)
            let second = try await LoginTests.refresh(suite, try #require(signedIn["refresh_token"]?.string))
            // Another tab of the same device has the same answer; somebody else has stolen the token.
            #expect(try await Self.bearerRefresh(suite, first).body["access_token"] == second["access_token"])
            #expect(try await Self.bearerRefresh(suite, first, agent: "thief").status == 401)
            #expect(try await !Self.isGood(suite, try Self.access(second)))
        }
    }
}
