import Database
import Events
import TestSupport
import Testing

/// What comes from a credential ends with it, and gives no more than it.
@Suite("Credentials' lineage", .enabled(if: Suite.isEnabled, Suite.reason))
struct CredentialLineageTests {
    private static func token(_ suite: Suite, client: JSON) async throws -> String {
        let id = try #require(client["client_id"]?.string)
        let secret = try #require(client["client_secret"]?.string)
        let body = "grant_type=client_credentials&client_id=\(id)&client_secret=\(secret)"
        let answer = try await HTTPClient.request(
            "POST", port: suite.port(.auth), path: "/oauth2/token",
            headers: [("Content-Type", "application/x-www-form-urlencoded")], body: Array(body.utf8))
        return try #require(JSON(parsing: answer.body)?["access_token"]?.string)
    }

    private static func isGood(_ suite: Suite, _ token: String) async throws -> Bool {
        try await suite.call(Introspect(token: token, remoteAddress: nil)).principal != nil
    }

    @Test func `nobody gets by a rotation what they may not give`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let owner = try suite.ownerKey
            func make(_ body: JSON) async throws -> (id: String, key: String) {
                let answer = try await suite.request("POST", .auth, "/v1/auth/keys", body, token: owner)
                return (try #require(answer["id"]?.string), try #require(answer["key"]?.string))
            }
            let asker = try await make(["name": "asker", "scopes": ["keys:write", "radio:read"]]).key
            let rows: [(JSON, Int)] = [
                (["name": "all", "scopes": ["*"]], 403),
                (["name": "more", "scopes": ["radio:read", "radio:write"]], 403),
                (["name": "tier", "scopes": ["radio:read"], "tier": "free"], 403),
                (["name": "same", "scopes": ["radio:read"]], 201),
            ]
            for (body, status) in rows {
                let key = try await make(body)
                let answer = try await suite.request("POST", .auth, "/v1/auth/keys/\(key.id)/rotate", token: asker)
                #expect(answer.status == status, "\(body["name"] ?? "") \(answer.body)")
                #expect(
                    answer.status == 201 || answer.headers["www-authenticate"]?.contains("insufficient_scope") == true)
                let shown = try await suite.request("GET", .auth, "/v1/auth/keys/\(key.id)", token: owner)
                #expect((shown["replaced_by"] != nil) == (status == 201))
            }
            // A key without an end, by a token that has one.
            let lasting = try await make(["name": "lasting", "scopes": ["radio:read"]])
            let token = try await suite.token(scope: "keys:write radio:read")
            let refused = try await suite.request("POST", .auth, "/v1/auth/keys/\(lasting.id)/rotate", token: token)
            #expect(refused.status == 403 && refused["error"]?["details"]?["field"] == "expires_at")
        }
    }

    @Test func `what a client's keys made, and what they were rotated to, ends with the client`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let owner = try suite.ownerKey
            let client = try await suite.request(
                "POST", .auth, "/v1/oauth2/clients", ["name": "c", "scope": "keys:write radio:read"], token: owner
            ).body
            let token = try await Self.token(suite, client: client)
            func makeKey(_ token: String) async throws -> (id: String, key: String) {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["keys:write", "radio:read"]], token: token)
                #expect(answer.status == 201)
                return (try #require(answer["id"]?.string), try #require(answer["key"]?.string))
            }
            let first = try await makeKey(token)
            let ofKey = try await makeKey(first.key)
            let rotated = try await suite.request("POST", .auth, "/v1/auth/keys/\(first.id)/rotate", token: first.key)
            let next = try #require(rotated["new_key"]?.string)
            let keys = [first.key, ofKey.key, next]
            for key in keys { #expect(try await Self.isGood(suite, key)) }
            let path = "/v1/oauth2/clients/\(try #require(client["client_id"]?.string))"
            #expect(try await suite.request("DELETE", .auth, path, token: owner).status == 204)
            for (index, key) in keys.enumerated() { #expect(try await !Self.isGood(suite, key), "\(index)") }
        }
    }

    @Test func `a token that a key made ends with the key, and so do its connections`() async throws {
        try await Suite.with([.auth], gateways: 1) { suite in
            let owner = try suite.ownerKey
            let made = try await suite.request(
                "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["auth:admin", "radio:read"]], token: owner)
            let (id, key) = (try #require(made["id"]?.string), try #require(made["key"]?.string))
            func token(_ type: String, by asker: String) async throws -> String {
                let answer = try await suite.request(
                    "POST", .auth, "/v1/tokens", ["type": .string(type), "scope": "auth:admin radio:read"], token: asker
                )
                return try #require(answer["token"]?.string, "\(answer.body)")
            }
            let jwt = try await token("jwt", by: key)
            let tokens = [jwt, try await token("oauth2", by: key), try await token("jwt", by: jwt)]
            let other = try await token("jwt", by: owner)
            let path = "/api/v1/events?token="
            var connections: [WebSocketClient] = []
            for token in tokens { connections.append(try await suite.connect(3, path + token)) }
            #expect(try await suite.request("DELETE", .auth, "/v1/auth/keys/\(id)", token: owner).status == 204)
            for connection in connections { #expect(try await connection.closeCode(within: .seconds(10)) == 1008) }
            for token in tokens {
                #expect(try await suite.request("GET", .auth, "/v1/auth/me", token: token).status == 401)
            }
            #expect(try await suite.request("GET", .auth, "/v1/auth/me", token: other).status == 200)
            // A key that has an end is known as revoked for as long as its tokens can be valid.
            let revoked = try await suite.call(FetchRevocations(after: 0)).revocations.first { $0.id == id }
            #expect(revoked?.until.map { $0 > .now + .seconds(29 * 86_400) } == true)
        }
    }

    @Test func `a request that takes its time makes nothing with a credential that is revoked meanwhile`() async throws
    {
        try await Suite.with([.auth], gateways: 0) { suite in
            let owner = try suite.ownerKey
            let made = try await suite.request(
                "POST", .auth, "/v1/auth/keys", ["name": "thief", "scopes": ["keys:write", "users:write"]], token: owner
            )
            let (id, key) = (try #require(made["id"]?.string), try #require(made["key"]?.string))
            let bodies = [
                ("/v1/auth/keys", #"{"name":"k","scopes":["keys:write"]}"#),
                ("/v1/oauth2/clients", #"{"name":"c","scope":"keys:write"}"#),
                ("/v1/auth/users", #"{"email":"a@example.com","name":"A","password":"a long enough password"}"#),
            ]
            var requests: [SlowRequest] = []
            for (path, body) in bodies {
                requests.append(
                    try await SlowRequest.begin(
                        port: suite.port(.auth), path: path, token: key, length: body.utf8.count))
            }
            // The heads are judged: the key counts as used.
            try await Suite.eventually("the heads are judged") {
                let shown = try await suite.request("GET", .auth, "/v1/auth/keys/\(id)", token: owner)
                return shown["last_used_at"]?.string != nil
            }
            #expect(try await suite.request("DELETE", .auth, "/v1/auth/keys/\(id)", token: owner).status == 204)
            for (request, body) in zip(requests, bodies.map(\.1)) {
                #expect(try await request.finish(body).hasPrefix("HTTP/1.1 401"))
            }
            let keys = try await suite.request("GET", .auth, "/v1/auth/keys", token: owner)
            #expect(
                keys["data"]?.array?.filter { $0["revoked_at"] == nil }.compactMap { $0["name"]?.string } == ["owner"])
            #expect(try await suite.request("GET", .auth, "/v1/oauth2/clients", token: owner)["data"] == [])
            #expect(try await suite.request("GET", .auth, "/v1/auth/users", token: owner)["data"] == [])
        }
    }

    @Test func `a key whose grace was over while auth was away still ends its connections`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth], gateways: 1, databaseURL: url) { suite in
                let owner = try suite.ownerKey
                let made = try await suite.request(
                    "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["radio:read"]], token: owner)
                let (id, key) = (try #require(made["id"]?.string), try #require(made["key"]?.string))
                let open = try await suite.connect(3, "/api/v1/events?token=\(key)")
                #expect(
                    try await suite.request("POST", .auth, "/v1/auth/keys/\(id)/rotate", token: owner).status == 201)
                try await AuthTables.query(
                    url, "UPDATE api_keys SET expires_at = now() - interval '1 hour' WHERE id = \(id)")
                #expect(try await open.closeCode(within: .seconds(40)) == 1008)
            }
        }
    }

    @Test func `a trusted issuer's subject is revoked by its name, and the keys that it made`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth], gateways: 0, databaseURL: url) { suite in
                let owner = try suite.ownerKey
                let made = try await suite.request(
                    "POST", .auth, "/v1/auth/keys", ["name": "k", "scopes": ["radio:read"]], token: owner)
                let (id, key) = (try #require(made["id"]?.string), try #require(made["key"]?.string))
                try await AuthTables.query(url, "UPDATE api_keys SET subject = 'studio|1' WHERE id = \(id)")
                let path = "/v1/auth/subjects/revoke"
                let limited = try await suite.token(scope: "*")
                #expect(
                    try await suite.request("POST", .auth, path, ["subject": "studio|1"], token: limited).status == 403)
                for body: JSON in [
                    [:], ["subject": ""], ["subject": "a\u{0}b"], ["subject": 1], ["subject": "a", "x": 1],
                ] {
                    #expect(try await suite.request("POST", .auth, path, body, token: owner).status == 400, "\(body)")
                }
                #expect(try await Self.isGood(suite, key))
                #expect(
                    try await suite.request("POST", .auth, path, ["subject": "studio|1"], token: owner).status == 204)
                #expect(try await !Self.isGood(suite, key))
                let revocations = try await suite.call(FetchRevocations(after: 0)).revocations
                #expect(revocations.contains { $0.kind == .user && $0.id == "studio|1" && $0.before != nil })
            }
        }
    }

    @Test func `with another owner's key every token of the one before is void`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let old = try suite.ownerKey
            let (jwt, opaque) = (try await suite.token("jwt"), try await suite.token("oauth2"))
            try await suite.end("auth", 15)
            try suite.replaceOwnerKey()
            try suite.start(.auth)
            try await suite.waitUntilReady(.auth)
            for token in [old, jwt, opaque] {
                #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: token).status == 401)
            }
            let new = try await suite.token("jwt")
            #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: new).status == 200)
        }
    }

    @Test func `a process that becomes the writer again has the keys of now`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth], gateways: 0, databaseURL: url) { suite in
                let first = try await suite.token()
                // As another process would have: the key that is known here is gone, and there is another.
                try await AuthTables.query(
                    url, "UPDATE signing_keys SET kid = 'replaced'")
                try await Suite.eventually("the key of now signs") {
                    let answer = try await suite.request("GET", .auth, "/.well-known/jwks.json")
                    return answer["keys"]?.array?.compactMap { $0["kid"]?.string } == ["replaced"]
                }
                #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: first).status == 401)
                let second = try await suite.token()
                #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: second).status == 200)
            }
        }
    }
}
