import Database
import Events
import Foundation
import TestSupport
import Testing

/// How keys, tokens, tickets and signing keys come, change and go.
@Suite("Credentials live", .enabled(if: Suite.isEnabled, Suite.reason))
struct CredentialLifeTests {
    private static func makeKey(
        _ suite: Suite, _ members: [String: JSON] = [:]
    ) async throws -> (id: String, key: String) {
        let body = ["name": "a key", "scopes": ["radio:read"]].merging(members) { $1 }
        let answer = try await suite.request("POST", .auth, "/v1/auth/keys", .object(body), token: try suite.ownerKey)
        #expect(answer.status == 201, "\(answer.body)")
        return (try #require(answer["id"]?.string), try #require(answer["key"]?.string))
    }

    private static func principal(_ suite: Suite, _ token: String, from address: String? = nil) async throws
        -> Principal?
    {
        try await suite.call(Introspect(token: token, remoteAddress: address)).principal
    }

    @Test func `a key has the prefix of its kind, 256 bits, and only its hash is kept`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth], gateways: 0, databaseURL: url) { suite in
                let kinds = [
                    ("wave", "wave_live_"), ("wave_test", "wave_test_"), ("grimnir", "gr_"), ("crosspoint", "xp_"),
                ]
                for (kind, prefix) in kinds {
                    let (_, key) = try await Self.makeKey(suite, ["kind": .string(kind)])
                    #expect(key.wholeMatch(of: try Regex("\(prefix)[0-9a-f]{64}")) != nil, "\(kind): \(key)")
                    #expect(try await Self.principal(suite, key)?.scopes == [.radioRead])
                    #expect(try await Self.principal(suite, String(key.dropLast()) + "0x") == nil)
                }
            }
        }
    }

    @Test func `a key that is bound to addresses is good from there only`() async throws {
        try await Suite.with([.auth, .radioPlayout], gateways: 1) { suite in
            let bound = try await Self.makeKey(suite, ["allowed_ips": ["192.0.2.0/24", "2001:db8::/32"]])
            for (address, isGood) in [
                ("192.0.2.9", true), ("2001:db8::1", true), ("192.0.3.9", false), ("127.0.0.1", false), (nil, false),
            ] as [(String?, Bool)] {
                #expect(
                    try await (Self.principal(suite, bound.key, from: address) != nil) == isGood, "\(address ?? "-")")
            }
            let refused = await #expect(throws: WebSocketRefused.self) {
                _ = try await suite.connect(3, "/api/v1/events", headers: [("X-API-Key", bound.key)])
            }
            #expect(refused?.status == 401)
            #expect(try await suite.request("GET", .radioPlayout, "/api/v1/stations", token: bound.key).status == 401)
            let here = try await Self.makeKey(suite, ["allowed_ips": ["127.0.0.0/8", "::1"]])
            #expect(try await suite.request("GET", .radioPlayout, "/api/v1/stations", token: here.key).status == 200)
            try await suite.connect(3, "/api/v1/events", headers: [("X-API-Key", here.key)]).close()
        }
    }

    @Test func `a list says when a key was last used`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let (id, key) = try await Self.makeKey(suite)
            func shown() async throws -> JSON {
                try await suite.request("GET", .auth, "/v1/auth/keys/\(id)", token: try suite.ownerKey).body
            }
            #expect(try await shown()["last_used_at"]?.string == nil)
            #expect(try await shown()["prefix"]?.string.map(key.hasPrefix) == true)
            _ = try await Self.principal(suite, key)
            try await Suite.eventually("the use is written down") { try await shown()["last_used_at"]?.string != nil }
        }
    }

    @Test func `a rotated key is good until its grace is over, and the new one is worth the same`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth, .radioPlayout], gateways: 1, databaseURL: url) { suite in
                let owner = try suite.ownerKey
                let old = try await Self.makeKey(
                    suite, ["allowed_ips": ["127.0.0.1", "::1"], "kind": "grimnir", "expires_in_days": 30])
                let answer = try await suite.request(
                    "POST", .auth, "/v1/auth/keys/\(old.id)/rotate", ["grace_period_hours": 2], token: owner)
                #expect(answer.status == 201)
                let new = try #require(answer["new_key"]?.string)
                #expect(new.hasPrefix("gr_") && new != old.key)
                let ends = try #require(answer["old_key"]?["expires_at"]?.string.flatMap(Timestamp.init(iso8601:)))
                #expect(abs((ends - (.now + .seconds(7200))).components.seconds) < 60)
                let (was, now) = (
                    try await Self.principal(suite, old.key, from: "127.0.0.1"),
                    try await Self.principal(suite, new, from: "::1")
                )
                #expect(was?.scopes == now?.scopes && was?.tenant == now?.tenant && now?.expires != ends)
                #expect(try await Self.principal(suite, new, from: "192.0.2.1") == nil)
                // Only once: the successor is the one to rotate.
                let again = try await suite.request("POST", .auth, "/v1/auth/keys/\(old.id)/rotate", token: owner)
                #expect(again.status == 404)

                let open = try await suite.connect(3, "/api/v1/events?token=\(old.key)")
                try await AuthTables.query(url, "UPDATE api_keys SET expires_at = now() WHERE id = \(old.id)")
                #expect(try await open.closeCode(within: .seconds(40)) == 1008)
                #expect(try await Self.principal(suite, old.key, from: "127.0.0.1") == nil)
                #expect(try await Self.principal(suite, new, from: "127.0.0.1") != nil)
            }
        }
    }

    @Test func `without grace the old key ends with the rotation`() async throws {
        try await Suite.with([.auth, .radioPlayout], gateways: 1) { suite in
            let old = try await Self.makeKey(suite)
            let open = try await suite.connect(3, "/api/v1/events?token=\(old.key)")
            let answer = try await suite.request(
                "POST", .auth, "/v1/auth/keys/\(old.id)/rotate", ["grace_period_hours": 0], token: try suite.ownerKey)
            #expect(answer.status == 201)
            #expect(try await open.closeCode() == 1008)
            #expect(try await Self.principal(suite, old.key) == nil)
        }
    }

    @Test func `a ticket opens one connection, whoever asks, and within its time`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth], gateways: 0, databaseURL: url) { suite in
                let token = try await suite.token("apikey", scope: "radio:read")
                func make() async throws -> String {
                    let answer = try await suite.request("POST", .auth, "/v1/tickets", token: token)
                    #expect(answer.status == 201 && answer["expires_in"] == 30)
                    #expect(answer.headers["cache-control"] == "no-store")
                    return try #require(answer["ticket"]?.string)
                }
                let ticket = try await make()
                // Ten at once: one wins.
                let winners = try await withThrowingTaskGroup(of: Principal?.self) { group in
                    for _ in 0..<10 {
                        group.addTask {
                            try await suite.call(RedeemTicket(ticket: ticket, remoteAddress: nil)).principal
                        }
                    }
                    return try await group.reduce(into: [Principal]()) { found, principal in
                        if let principal { found.append(principal) }
                    }
                }
                #expect(winners.count == 1 && winners.first?.scopes == [.radioRead])
                #expect(winners.first?.credential == .apiKey)

                // It outlasts a restart of auth, is no credential for REST, and ends with what it was made with.
                let (second, third, fourth) = (try await make(), try await make(), try await make())
                #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: second).status == 401)
                try await suite.kill9(.auth)
                try suite.start(.auth)
                try await suite.waitUntilReady(.auth)
                #expect(try await suite.call(RedeemTicket(ticket: second, remoteAddress: nil)).principal != nil)
                #expect(try await suite.call(RedeemTicket(ticket: ticket, remoteAddress: nil)).principal == nil)
                try await AuthTables.query(
                    url, "UPDATE tickets SET expires_at = now() WHERE redeemed_at IS NULL")
                #expect(try await suite.call(RedeemTicket(ticket: third, remoteAddress: nil)).principal == nil)
                try await AuthTables.query(
                    url, "UPDATE tickets SET expires_at = now() + interval '30 s' WHERE redeemed_at IS NULL")
                try await AuthTables.query(
                    url, "UPDATE api_keys SET revoked_at = now() WHERE NOT starts_with(id, 'owner')")
                #expect(try await suite.call(RedeemTicket(ticket: fourth, remoteAddress: nil)).principal == nil)
            }
        }
    }

    @Test func `a token that counts once is spent over all processes and restarts`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let until = Timestamp.now + .seconds(120)
            #expect(try await suite.call(SpendToken(id: "one", until: until)).isFirst)
            #expect(try await !suite.call(SpendToken(id: "one", until: until)).isFirst)
            try await suite.kill9(.auth)
            try suite.start(.auth)
            try await suite.waitUntilReady(.auth)
            #expect(try await !suite.call(SpendToken(id: "one", until: until)).isFirst)
            #expect(try await suite.call(SpendToken(id: "two", until: until)).isFirst)
            for id in ["", "a b", "a'; --", String(repeating: "a", count: 65)] {
                await #expect(throws: CommandFailure.self) {
                    _ = try await suite.call(SpendToken(id: id, until: until))
                }
            }
        }
    }

    @Test func `a single access token is revoked, opaque or signed, and is refused at once`() async throws {
        try await Suite.with([.auth, .radioPlayout], gateways: 1) { suite in
            let owner = try suite.ownerKey
            for type in ["jwt", "oauth2"] {
                let body: JSON = ["type": .string(type), "scope": "radio:read keys:write"]
                let (doomed, kept) = (
                    try await suite.request("POST", .auth, "/v1/tokens", body, token: owner),
                    try await suite.request("POST", .auth, "/v1/tokens", body, token: owner)
                )
                let token = try #require(doomed["token"]?.string)
                let open = try await suite.connect(3, "/api/v1/events?token=\(token)")
                let path = "/v1/tokens/\(try #require(doomed["id"]?.string))"
                #expect(try await suite.request("DELETE", .auth, path, token: owner).status == 204)
                #expect(try await suite.request("DELETE", .auth, path, token: owner).status == 404)
                #expect(try await open.closeCode() == 1008)
                #expect(try await suite.request("GET", .auth, "/v1/auth/keys", token: token).status == 401)
                #expect(try await suite.request("GET", .radioPlayout, "/api/v1/stations", token: token).status == 401)
                let other = try #require(kept["token"]?.string)
                #expect(try await suite.request("GET", .radioPlayout, "/api/v1/stations", token: other).status == 200)
                let listed = try await suite.call(FetchRevocations(after: 0))
                #expect(listed.term != nil)
                #expect(
                    listed.revocations.contains {
                        "/v1/tokens/\($0.id)" == path && $0.kind == .token && $0.until != nil
                    })
                #expect(try await suite.call(FetchRevocations(after: listed.last)).revocations.isEmpty)
                #expect(
                    try await suite.call(FetchRevocations(after: listed.last + 5)).revocations == listed.revocations)
            }
        }
    }

    private static func kid(_ token: String) -> String? {
        token.split(separator: ".").first.flatMap { AuthTests.base64URL(String($0)) }
            .flatMap { JSON(parsing: Array($0)) }?["kid"]?.string
    }

    @Test func `signing keys are rotated: old tokens stay good, new ones have the new key`() async throws {
        try await Suite.with([.auth, .radioPlayout], gateways: 0) { suite in
            let owner = try suite.ownerKey
            func published() async throws -> [String] {
                try await suite.request("GET", .auth, "/.well-known/jwks.json")["keys"]?.array?.compactMap {
                    $0["kid"]?.string
                } ?? []
            }
            let old = try await suite.token(scope: "radio:read")
            let first = try #require(Self.kid(old))
            let made = try await suite.request("POST", .auth, "/v1/auth/signing-keys", token: owner)
            #expect(made.status == 201)
            let second = try #require(made["kid"]?.string)
            // Known before it is used.
            #expect(try await Set(published()) == [first, second])
            #expect(Self.kid(try await suite.token()) == first)
            try await Suite.eventually("the new key signs") { Self.kid(try await suite.token()) == second }
            let new = try await suite.token(scope: "radio:read")
            for token in [old, new] {
                #expect(try await suite.request("GET", .radioPlayout, "/api/v1/stations", token: token).status == 200)
            }
            try await suite.kill9(.auth)
            try suite.start(.auth)
            try await suite.waitUntilReady(.auth)
            #expect(try await Set(published()) == [first, second])

            // Stolen: its tokens are void at once, and the other key's are not.
            let answer = try await suite.request("DELETE", .auth, "/v1/auth/signing-keys/\(second)", token: owner)
            #expect(answer.status == 204)
            #expect(try await published() == [first])
            #expect(Self.kid(try await suite.token()) == first)
            try await Suite.eventually("the stolen key's tokens are refused", within: .seconds(5)) {
                try await suite.request("GET", .radioPlayout, "/api/v1/stations", token: new).status == 401
            }
            #expect(try await suite.request("GET", .radioPlayout, "/api/v1/stations", token: old).status == 200)
            #expect(
                try await suite.request("DELETE", .auth, "/v1/auth/signing-keys/\(second)", token: owner).status == 404)
            let reader = try await suite.token(scope: "*")
            #expect(try await suite.request("POST", .auth, "/v1/auth/signing-keys", token: reader).status == 403)
        }
    }
}
