import Events
import Foundation
import NIOHTTP1
import TestSupport
import Testing

/// Tokens of somebody else's issuer, whose keys auth fetches for the whole suite.
@Suite("Trusted issuers", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct TrustedIssuerTests {
    private static func with(
        _ entries: [JSON], _ services: [ServiceName] = [.auth], databaseURL: String? = nil,
        _ body: (Suite) async throws -> Void
    ) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "issuers-\(UUID().uuidString).json")
        try Data(JSON.array(entries).bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        try await Suite.with(
            services, gateways: 0, databaseURL: databaseURL, environment: ["AUTH_ISSUERS_FILE": file.path], body)
    }

    private static func status(_ suite: Suite, _ token: String) async throws -> Int {
        try await suite.request("GET", .auth, "/v1/auth/keys", token: token).status
    }

    @Test func `their tokens open what the rules give, at auth and at the others`() async throws {
        try await OtherIssuer.with { issuer in
            let keys = ["a": try OtherIssuer.Key.newRSA(), "b": OtherIssuer.Key.newP256()]
            try issuer.serve(keys)
            try await Self.with([issuer.entry()], [.auth, .streamMetrics]) { suite in
                for (kid, key) in keys {
                    let token = try issuer.token(key, kid: kid)
                    try await Suite.eventually("auth has the keys") { try await Self.status(suite, token) == 200 }
                    let streams = try await suite.request("GET", .streamMetrics, "/v1/streams", token: token)
                    #expect(streams.status == 200, "\(streams.body)")
                    let form = [("Content-Type", "application/x-www-form-urlencoded")]
                    let answer = try await HTTPClient.request(
                        "POST", port: suite.port(.auth), path: "/oauth2/introspect",
                        headers: form + [("Authorization", "Bearer \(try suite.ownerKey)")],
                        body: Array("token=\(token)".utf8))
                    let facts = JSON(parsing: answer.body)
                    #expect(facts?["active"] == true && facts?["sub"] == "other|ada", "\(String(describing: facts))")
                    #expect(facts?["iss"] == .string(issuer.url) && facts?["scope"] == "keys:write streams:read")
                }
                let rsa = try #require(keys["a"])
                let outsider = try issuer.token(rsa, kid: "a", ["groups": ["guests"]])
                #expect(try await Self.status(suite, outsider) == 403)
                let (now, stranger) = (Int64(Date().timeIntervalSince1970), try OtherIssuer.Key.newRSA())
                let ours = try await suite.token(scope: "keys:write").split(separator: ".").map(String.init)
                for bad in [
                    try issuer.token(rsa, kid: "a", ["aud": "another"]), try issuer.token(rsa, kid: "a", ["aud": nil]),
                    try issuer.token(rsa, kid: "a", ["exp": .integer(now - 120)]),
                    try issuer.token(rsa, kid: "a", ["nbf": .integer(now + 120)]),
                    try issuer.token(rsa, kid: "a", ["iss": "https://evil.example"]),
                    try issuer.token(rsa, kid: "a", ["groups": [], "email": nil]),
                    // ID tokens.
                    try issuer.token(rsa, kid: "a", type: "JWT"), try issuer.token(rsa, kid: "a", ["nonce": "n"]),
                    try issuer.token(stranger, kid: "a"), try issuer.token(OtherIssuer.Key.newP256(), kid: "a"),
                    // Our own issuer's name, with their key; and our key with their name.
                    try issuer.token(rsa, kid: "a", ["iss": .string("http://127.0.0.1:\(suite.port(.auth))")]),
                    "\(ours[0]).\(try issuer.token(rsa, kid: "a").split(separator: ".")[1]).\(ours[2])",
                ] {
                    #expect(try await Self.status(suite, bad) == 401, "\(bad)")
                }
                let log = suite.log("auth")
                #expect(!log.contains(outsider))
            }
        }
    }

    @Test func `a key that is new is fetched when a token names it, and an old one ends`() async throws {
        try await OtherIssuer.with { issuer in
            let (old, new) = (OtherIssuer.Key.newP256(), OtherIssuer.Key.newP256())
            try issuer.serve(["old": old])
            try await Self.with([issuer.entry()], [.auth, .streamMetrics]) { suite in
                let (before, after) = (try issuer.token(old, kid: "old"), try issuer.token(new, kid: "new"))
                try await Suite.eventually("auth has the key") { try await Self.status(suite, before) == 200 }
                try issuer.serve(["new": new])
                // At another service, which asks auth, which asks there.
                let streams = try await suite.request("GET", .streamMetrics, "/v1/streams", token: after)
                #expect(streams.status == 200, "\(streams.body)")
                #expect(try await Self.status(suite, after) == 200)
                #expect(try await Self.status(suite, before) == 401)
                // Whoever invents keys does not make auth ask for each.
                let asked = issuer.asked
                for number in 0..<20 {
                    #expect(try await Self.status(suite, try issuer.token(new, kid: "k\(number)")) == 401)
                }
                #expect(issuer.asked <= asked + 1)
            }
        }
    }

    @Test(arguments: [
        OtherIssuer.Answer.text("<html>"), .text("", status: .internalServerError),
        .text(#"{"keys":[]}"# + String(repeating: " ", count: 300_000)), .redirect("http://localhost:1/keys"), .silence,
    ])
    func `what is not their keys changes nothing, and the last good ones outlast a restart`(
        answer: OtherIssuer.Answer
    ) async throws {
        try await OtherIssuer.with { issuer in
            let key = OtherIssuer.Key.newP256()
            try issuer.serve(["a": key])
            try await Self.with([issuer.entry()]) { suite in
                let token = try issuer.token(key, kid: "a")
                try await Suite.eventually("auth has the key") { try await Self.status(suite, token) == 200 }
                issuer.serve(answer)
                // Makes auth ask.
                #expect(try await Self.status(suite, try issuer.token(key, kid: "b")) == 401)
                #expect(try await Self.status(suite, token) == 200)
                try await suite.kill9(.auth)
                try suite.start(.auth)
                try await suite.waitUntilReady(.auth)
                try await Suite.eventually("auth has the key again") { try await Self.status(suite, token) == 200 }
                try await Suite.eventually("auth says so") {
                    suite.log("auth").contains("A trusted issuer's keys cannot be fetched")
                }
            }
        }
    }

    @Test func `an issuer that is away is no reason not to start`() async throws {
        try await OtherIssuer.with { issuer in
            issuer.serve(.silence)
            try await Self.with([issuer.entry()]) { suite in
                #expect(try await Self.status(suite, try suite.ownerKey) == 200)
                let key = OtherIssuer.Key.newP256()
                try issuer.serve(["a": key])
                // Auth asks because of the token, or by itself.
                try await Suite.eventually("auth has the key", within: .seconds(60)) {
                    try await Self.status(suite, try issuer.token(key, kid: "a")) == 200
                }
            }
        }
    }

    @Test func `a slip in the file ends the start`() async throws {
        try await PostgresFixture.withDatabase { url in
            let file = FileManager.default.temporaryDirectory.appending(path: "issuers-\(UUID().uuidString).json")
            defer { try? FileManager.default.removeItem(at: file) }
            try Data(#"[{"issuer":"http://id.example"}]"#.utf8).write(to: file)
            let suite = try Suite(databaseURL: url, environment: ["AUTH_ISSUERS_FILE": file.path])
            try await suite.use {
                try suite.start(.auth)
                try await Suite.eventually("auth ends") { !suite.isRunning("auth") }
                #expect(suite.log("auth").contains("auth.issuers.file entry 1"))
            }
        }
    }
}
