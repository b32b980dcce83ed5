import Events
import Foundation
import Glibc
import TestSupport
import Testing

/// Auth's start: its secrets, the owner's key, and another auth beside it.
@Suite("Auth's start", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AuthStartTests {
    /// Files that a test may change, and the environment that names them.
    private struct Files {
        let folder = FileManager.default.temporaryDirectory.appending(path: "auth-\(UUID().uuidString)")
        var environment: [String: String] {
            [
                "AUTH_SECRETS_KEY_FILE": self.folder.appending(path: "secrets.key").path,
                "AUTH_OWNER_KEY_FILE": self.folder.appending(path: "owner.key").path,
            ]
        }

        init() throws {
            try FileManager.default.createDirectory(at: self.folder, withIntermediateDirectories: true)
            try self.set(secret: "a")
            try self.set(owner: "1")
        }

        func set(secret digit: Character) throws { try self.write("secrets.key", String(repeating: digit, count: 64)) }

        /// Returns the owner's key.
        @discardableResult
        func set(owner digit: Character) throws -> String {
            let key = "xp_\(String(repeating: digit, count: 64))"
            try self.write("owner.key", key + "\n")
            return key
        }

        private func write(_ name: String, _ text: String) throws {
            try text.write(to: self.folder.appending(path: name), atomically: true, encoding: .utf8)
        }
    }

    private static func list(_ suite: Suite, _ key: String) async throws -> Int {
        try await suite.request("GET", .auth, "/v1/auth/keys", token: key).status
    }

    private static func restart(_ suite: Suite) async throws {
        try await suite.end("auth", SIGTERM)
        try suite.start(.auth)
        try await suite.waitUntilReady(.auth)
    }

    @Test func `another secrets key ends the process with a reason, and changes nothing`() async throws {
        let files = try Files()
        defer { try? FileManager.default.removeItem(at: files.folder) }
        try await Suite.with([.auth], gateways: 0, environment: files.environment) { suite in
            let before = try await suite.request("GET", .auth, "/.well-known/jwks.json").body
            try await suite.end("auth", SIGTERM)
            try files.set(secret: "b")
            try files.set(owner: "2")
            try suite.start(.auth)
            try await Suite.eventually("auth ends") { !suite.isRunning("auth") }
            #expect(suite.log("auth").contains("auth.secrets.key.file holds another key"))
            try files.set(secret: "a")
            let first = try files.set(owner: "1")
            try suite.start(.auth)
            try await suite.waitUntilReady(.auth)
            #expect(try await suite.request("GET", .auth, "/.well-known/jwks.json").body == before)
            #expect(try await Self.list(suite, first) == 200)
        }
    }

    @Test func `another owner's key takes the place of the one before, for good`() async throws {
        let files = try Files()
        defer { try? FileManager.default.removeItem(at: files.folder) }
        try await Suite.with([.auth], gateways: 0, environment: files.environment) { suite in
            let first = try files.set(owner: "1")
            #expect(try await Self.list(suite, first) == 200)
            let second = try files.set(owner: "2")
            try await Self.restart(suite)
            #expect(try await Self.list(suite, first) == 401)
            #expect(try await Self.list(suite, second) == 200)
            let revoked = try await suite.events(.auth, "auth.revoked", room: "", token: second)
            // The key, and every token that was made with it.
            #expect(revoked.map { $0["kind"] } == ["apikey", "user"] && revoked.last?["id"] == "owner")
            // A start does not bring back what was revoked.
            try files.set(owner: "1")
            try await Self.restart(suite)
            #expect(try await Self.list(suite, first) == 401)
            #expect(suite.log("auth").contains("The owner's key was revoked"))
        }
    }

    @Test func `a second auth stands by with the same keys, and takes over`() async throws {
        let files = try Files()
        defer { try? FileManager.default.removeItem(at: files.folder) }
        try await PostgresFixture.withDatabase { url in
            let first = try Suite(databaseURL: url, environment: files.environment)
            let second = try Suite(databaseURL: url, environment: files.environment)
            try await first.use {
                try await second.use {
                    try first.start(.auth)
                    try await first.waitUntilReady(.auth)
                    try second.start(.auth)
                    try await Suite.eventually("the second answers") {
                        await second.readiness(port: second.port(.auth))["writer"] == false
                    }
                    let owner = try files.set(owner: "1")
                    let refused = try await second.request(
                        "POST", .auth, "/v1/tokens", ["type": "apikey"], token: owner)
                    #expect(refused.status == 503 && refused.body["error"]?["code"] == "SERVICE_UNAVAILABLE")
                    let jwks = try await first.request("GET", .auth, "/.well-known/jwks.json").body
                    try await first.kill9(.auth)
                    try await second.waitUntilReady(.auth)
                    #expect(try await second.request("GET", .auth, "/.well-known/jwks.json").body == jwks)
                    #expect(
                        try await second.request("POST", .auth, "/v1/tokens", ["type": "apikey"], token: owner).status
                            == 201)
                }
            }
        }
    }
}
