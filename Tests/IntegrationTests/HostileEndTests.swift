import Events
import Foundation
import TestSupport
import Testing

/// Credentials that were good: after their end no door takes them, and guessing for them gets slower and slower.
@Suite("Hostile ends", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct HostileEndTests {
    private static let doors = HostileStage.doors.keys.sorted()

    private static func made(_ stage: HostileStage, _ path: String, _ body: JSON?) async throws -> Suite.Answer {
        let answer = try await stage.suite.request("POST", .auth, path, body, token: try stage.suite.ownerKey)
        #expect(answer.status == 200 || answer.status == 201, "\(path): \(answer.status) \(answer.body)")
        for name in ["token", "key", "new_key", "ticket"] {
            if let secret = answer[name]?.string { stage.keep(secret: secret) }
        }
        return answer
    }

    @Test func `an expired and a revoked credential of each kind`() async throws {
        try await HostileStage.with(gateways: 1) { stage in
            var tokens: [String: String] = [:]
            for type in ["oauth2", "apikey", "jwt"] {
                let body: JSON = ["type": .string(type), "scope": "*", "ttl_seconds": 4]
                tokens[type] = try #require(try await Self.made(stage, "/v1/tokens", body)["token"]?.string)
            }
            let made = ContinuousClock.now
            // Others remember the answer for 30 s, but not beyond the credential's end.
            for (type, token) in tokens {
                for door in ["auth", "stream-metrics", "grimnir"] {
                    #expect(try await stage.knock(door, token) == "open", "\(type) at \(door)")
                }
            }
            await stage.prepare(["<revoked.jwt><revoked.oauth2><revoked.apikey>"])
            for type in ["jwt", "oauth2", "apikey"] {
                try await stage.expectRefusal(try stage["revoked.\(type)"], "a revoked \(type)")
            }
            // The end of these is ours alone to tell: there is no clock of another's to allow for, but RFC 8725's leeway may be used.
            try await Task.sleep(until: made + .seconds(66), clock: .continuous)
            for (type, token) in tokens { try await stage.expectRefusal(token, "an expired \(type)") }
        }
    }

    @Test func `a key that was rotated, or is bound to an address, and a signing key that is gone`() async throws {
        try await HostileStage.with(gateways: 1) { stage in
            let key = try await Self.made(stage, "/v1/auth/keys", ["name": "k", "scopes": ["*"]])
            let (id, old) = (try #require(key["id"]?.string), try #require(key["key"]?.string))
            for door in Self.doors { #expect(try await stage.knock(door, old) == "open", "\(door)") }
            let rotated = try await Self.made(stage, "/v1/auth/keys/\(id)/rotate", ["grace_period_hours": 0])
            let new = try #require(rotated["new_key"]?.string)
            try await stage.expectRefusal(old, "a key without grace")
            for door in Self.doors { #expect(try await stage.knock(door, new) == "open", "\(door)") }
            // A key is rotated once: a second new one from the old would be a copy that nobody asked for.
            let again = try await stage.suite.request(
                "POST", .auth, "/v1/auth/keys/\(id)/rotate", [:], token: try stage.suite.ownerKey)
            #expect((400..<500).contains(again.status), "rotated twice: \(again.status)")

            let bound = try #require(
                try await Self.made(
                    stage, "/v1/auth/keys",
                    ["name": "b", "scopes": ["*"], "allowed_ips": ["192.0.2.0/24", "2001:db8::/32"]])["key"]?
                    .string)
            for door in Self.doors {
                for address in ["192.0.2.77", "2001:db8::1"] {
                    #expect(try await stage.knock(door, bound, from: address) == "open", "\(door) from \(address)")
                }
                for address in ["192.0.3.1", "198.51.100.1", "2001:db9::1", "::1", "::ffff:192.0.3.1"] {
                    let got = try await stage.knock(door, bound, from: address)
                    #expect(got == HostileStage.doors[door], "\(door) from \(address): \(got)")
                }
            }

            await stage.prepare(["<all><signing-key.id>"])
            let (token, kid) = (try stage["all"], try stage["signing-key.id"])
            _ = try await Self.made(stage, "/v1/auth/signing-keys", nil)
            for door in Self.doors { #expect(try await stage.knock(door, token) == "open", "\(door) after a rotation") }
            let gone = try await stage.suite.request(
                "DELETE", .auth, "/v1/auth/signing-keys/\(kid)", token: try stage.suite.ownerKey)
            #expect(gone.status == 204, "\(gone.body)")
            try await stage.expectRefusal(token, "signed with a revoked key")
            let fresh = try await stage.suite.token()
            stage.keep(secret: fresh)
            for door in Self.doors { #expect(try await stage.knock(door, fresh) == "open", "\(door) with the new key") }
        }
    }

    @Test func `a ticket that was used, at every door`() async throws {
        try await HostileStage.with(gateways: 2) { stage in
            let doors: [(Int, String, String)] = [
                (0, "/?token=", "401"), (2, "/v1/streams?api_key=", "4401"), (3, "/api/v1/events?token=", "401"),
                (4, "/v1/stream?token=", "4401"),
            ]
            func show(_ ticket: String, _ door: (Int, String, String), gateway: Int) async throws -> String {
                do {
                    let client = try await stage.suite.connect(
                        door.0, door.1 + ticket, headers: [("X-Forwarded-For", stage.address())], gateway: gateway)
                    if door.2 == "401" || door.0 == 2 {
                        try? await client.send(["type": "ping", "timestamp": 1, "action": "ping"])
                    }
                    if door.0 == 3 { return "open" }
                    _ = try await client.next {
                        $0["type"] == "pong" || $0["event"] == "pong" || $0["type"] == "auth_success"
                    }
                    return "open"
                } catch let refusal as WebSocketRefused {
                    return "\(refusal.status)"
                } catch WebSocketClientError.closed(let code, _) {
                    return "\(code)"
                }
            }
            for first in doors {
                let ticket = try #require(try await Self.made(stage, "/v1/tickets", nil)["ticket"]?.string)
                #expect(try await show(ticket, first, gateway: 0) == "open", "tickets: \(first.1)")
                for (number, second) in doors.enumerated() {
                    let got = try await show(ticket, second, gateway: number % 2)
                    #expect(got == second.2, "tickets: used at \(first.1), again at \(second.1): \(got)")
                }
            }
        }
    }

    // MARK: guessing

    /// Sends until it is told to wait; the number of tries, and for how long it shall wait.
    private static func guess(
        _ max: Int, _ send: () async throws -> HTTPClient.Answer
    ) async throws -> (tries: Int, wait: Int)? {
        for tries in 1...max {
            let answer = try await send()
            if answer.status == 429 { return (tries, Int(answer.headers["retry-after"] ?? "") ?? 0) }
            #expect(answer.status == 401, "\(answer.status)")
        }
        return nil
    }

    private static func login(_ stage: HostileStage, _ email: String, _ password: String, from address: String)
        async throws
        -> HTTPClient.Answer
    {
        let body: JSON = ["email": .string(email), "password": .string(password)]
        return try await HTTPClient.request(
            "POST", port: stage.suite.port(.auth), path: "/api/v1/auth/login",
            headers: [("Content-Type", "application/json"), ("X-Forwarded-For", address)], body: body.bytes)
    }

    /// The status with which the login page answers the right password.
    private static func pageLogin(_ stage: HostileStage, _ email: String, _ password: String) async throws -> Int {
        var browser = Browser(port: stage.suite.port(.auth), address: stage.address())
        let form = try Browser.form(try await browser.get("/oauth2/login"))
        return try await browser.fill(form, email: email, password: password).status
    }

    @Test func `whoever guesses passwords waits longer and longer, by account and by address`() async throws {
        try await HostileStage.with { stage in
            await stage.prepare(["<user.email><their-user.email>"])
            let (email, password) = (try stage["user.email"], try stage["user.password"])
            // One account, from everywhere.
            var waits: [Int] = []
            for _ in 0..<3 {
                let limit = try await Self.guess(40) {
                    try await Self.login(stage, email, "wrong \(UUID().uuidString)", from: stage.address())
                }
                let told = try #require(limit, "never told to wait")
                #expect(told.wait > 0)
                waits.append(told.wait)
                // The right password does not help meanwhile: the answer must not tell that it is right.
                let right = try await Self.login(stage, email, password, from: stage.address())
                #expect(right.status == 429)
                #expect(try await Self.pageLogin(stage, email, password) == 429)
                guard told.wait <= 20 else { break }
                try await Task.sleep(for: .seconds(told.wait) + .milliseconds(200))
            }
            #expect(
                waits.count > 1 && zip(waits, waits.dropFirst()).allSatisfy { $0 < $1 }, "waits do not grow: \(waits)")
            // Nobody else is slowed down by it.
            let other = try await Self.login(
                stage, try stage["their-user.email"], try stage["their-user.password"], from: stage.address())
            #expect(other.status == 200, "\(other.status)")

            // One address, any account: also those that do not exist.
            let address = stage.address()
            let limit = try await Self.guess(100) {
                try await Self.login(stage, "\(UUID().uuidString)@example.com", "wrong horse staple", from: address)
            }
            #expect(limit != nil, "an address may guess for ever")
            let elsewhere = try await Self.login(
                stage, try stage["their-user.email"], try stage["their-user.password"], from: stage.address())
            #expect(elsewhere.status == 200, "\(elsewhere.status)")
        }
    }

    @Test func `whoever guesses keys, secrets and tokens waits, and nobody else`() async throws {
        try await HostileStage.with { stage in
            await stage.prepare(["<client.id><all>"])
            let key = try stage.suite.ownerKey
            func ask(_ service: ServiceName, _ path: String, _ token: String, _ address: String) async throws
                -> HTTPClient.Answer
            {
                try await HTTPClient.request(
                    "GET", port: stage.suite.port(service), path: path,
                    headers: [("Authorization", "Bearer \(token)"), ("X-Forwarded-For", address)])
            }
            for prefix in ["xp_", "wave_live_", "gr_", "xpat_"] {
                for (service, path) in [(ServiceName.auth, "/v1/auth/keys"), (.streamMetrics, "/v1/streams")] {
                    let address = stage.address()
                    let limit = try await Self.guess(200) {
                        let hex = (0..<64).map { _ in String("0123456789abcdef".randomElement() ?? "0") }.joined()
                        return try await ask(service, path, prefix + hex, address)
                    }
                    #expect(limit != nil, "\(prefix) may be guessed for ever at \(service)")
                    #expect(try await ask(service, path, key, stage.address()).status == 200, "others are slowed down")
                }
            }
            let address = stage.address()
            let limit = try await Self.guess(200) {
                let row = try JSON.decode(
                    HostileRow.self,
                    from: Array(
                        #"{"name":"","path":"/oauth2/token","status":401,"headers":{"X-Forwarded-For":"\#(address)"},"form":[["grant_type","client_credentials"],["client_id","<client.id>"],["client_secret","\#(UUID().uuidString)"]]}"#
                            .utf8))
                return try await stage.send(row)
            }
            #expect(limit != nil, "a client's secret may be guessed for ever")
        }
    }
}
