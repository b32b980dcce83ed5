import Database
import Events
import Foundation
import Logging
import NIOConcurrencyHelpers
import TestSupport
import Testing

/// A suite with everything in it that a hostile row may name, and what must be true of it after all rows.
final class HostileStage: Sendable {
    static let redirect = "http://127.0.0.1:9/callback"
    /// Each row comes from an address of its own: what one does must not slow down the next.
    static let environment = ["LOG_LEVEL": "trace", "HTTP_TRUSTED_PROXIES": "127.0.0.1"]

    let suite: Suite
    private let url: String
    private let services: [ServiceName]
    private let gateways: Int
    private let values = NIOLockedValueBox<[String: String]>([:])
    private let secrets = NIOLockedValueBox<Set<String>>([])
    private let addresses = NIOLockedValueBox(0)

    private init(_ suite: Suite, url: String, services: [ServiceName], gateways: Int) {
        self.suite = suite
        self.url = url
        self.services = services
        self.gateways = gateways
    }

    /// Runs the body on a stage; then nothing secret is in a log, in the audit log or in the database.
    static func with(
        _ services: [ServiceName] = [.auth, .streamMetrics], gateways: Int = 0, environment: [String: String] = [:],
        _ body: (HostileStage) async throws -> Void
    ) async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with(
                services, gateways: gateways, databaseURL: url,
                environment: Self.environment.merging(environment) { $1 }
            ) { suite in
                let stage = HostileStage(suite, url: url, services: services, gateways: gateways)
                try await body(stage)
                try await stage.expectNoSecretKept()
            }
        }
    }

    /// An address that nobody has used before.
    func address() -> String {
        let number = self.addresses.withLockedValue {
            $0 += 1
            return $0
        }
        return "198.18.\(number / 250).\(number % 250 + 1)"
    }

    // MARK: values

    /// Remembers what must be in no log; short words would be found by chance.
    func keep(secret: String) { self.secrets.withLockedValue { if secret.utf8.count >= 12 { _ = $0.insert(secret) } } }

    func set(_ more: [String: String], secret: Set<String> = []) {
        self.values.withLockedValue { $0.merge(more) { $1 } }
        for name in secret { if let value = more[name] { self.keep(secret: value) } }
    }

    subscript(name: String) -> String {
        get throws {
            guard let value = self.values.withLockedValue({ $0[name] }) else {
                throw Suite.Failure(description: "the stage has no <\(name)>")
            }
            return value
        }
    }

    func fill(_ text: String) -> String { Placeholders.fill(text, with: self.values.withLockedValue { $0 }) }

    /// Makes what the texts name. What cannot be made is an issue of its own, and stays as it is written.
    func prepare(_ texts: [String]) async {
        for name in Set(texts.flatMap(Placeholders.names)).sorted() where (try? self[name]) == nil {
            guard !name.hasPrefix("fresh.") else { continue }
            do {
                try await self.make(String(name.prefix { $0 != "." }))
                _ = try self[name]
            } catch {
                Issue.record("<\(name)> could not be made: \(error)")
            }
        }
    }

    // MARK: what must not change

    /// Users, keys, clients, channels and signing keys as auth tells them, and how many rows each table has.
    func state() async throws -> [String] {
        var state: [String] = []
        for path in [
            "/v1/auth/users", "/v1/auth/keys", "/v1/oauth2/clients", "/v1/auth/channels", "/v1/auth/signing-keys",
        ] {
            for tenant in ["default", "theirs"] {
                let answer = try await self.suite.request(
                    "GET", .auth, "\(path)?limit=100&tenant=\(tenant)", token: try self.suite.ownerKey)
                // A list of the whole installation takes no tenant.
                guard answer.status == 200 else { continue }
                for entry in answer["data"]?.array ?? answer["keys"]?.array ?? [] {
                    let told = (entry.object ?? [:]).filter { !$0.key.hasPrefix("last_") }
                    state.append("\(path) \(tenant) \(String(decoding: JSON.object(told).bytes, as: UTF8.self))")
                }
            }
        }
        for (table, rows) in try await self.tables() where !Self.isVolatile(table) {
            state.append("\(table): \(rows.matches(of: /<row[ >]/).count) rows")
        }
        return state.sorted()
    }

    /// Tables that tell of a refusal, or of who is connected.
    private static func isVolatile(_ table: String) -> Bool {
        ["audit", "attempt", "failure", "throttle", "refusal", "seat"].contains { table.contains($0) }
    }

    /// Every table of auth with all that is in it, as text.
    private func tables() async throws -> [(String, String)] {
        let database = Database(
            DatabaseConfiguration(url: self.url, schema: "auth", connections: 1), logger: Logger(label: "test"))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await database.run() }
            let rows = try await database.query(
                """
                SELECT table_name::text AS name,
                    query_to_xml(format('SELECT t::text AS text FROM auth.%I t', table_name), true, true, '')::text AS rows
                FROM information_schema.tables WHERE table_schema = 'auth' AND table_type = 'BASE TABLE'
                """)
            group.cancelAll()
            return try rows.map { (try $0.decode("name", as: String.self), try $0.decode("rows", as: String.self)) }
        }
    }

    // MARK: what must not be told

    private func expectNoSecretKept() async throws {
        let secrets = self.secrets.withLockedValue { $0 }.union([try self.suite.ownerKey])
        var places = (self.services.map(\.rawValue) + (0..<self.gateways).map { "gateway-\($0)" }).map {
            ("the log of \($0)", self.suite.log($0))
        }
        for (_, log) in places { #expect(!log.isEmpty) }
        places += try await self.tables().map { ("the table \($0)", $1) }
        places.append(("the audit log", try await self.auditLog()))
        for (place, text) in places {
            for secret in secrets {
                let hex = secret.utf8.map { String(format: "%02x", $0) }.joined()
                if text.contains(secret) || text.contains(hex) {
                    Issue.record("\(place) holds a secret: \(secret.prefix(12))…")
                }
            }
            // Auth's own failure, which no client may cause.
            #expect(!text.contains(#""level":"error""#), "\(place)")
        }
        print("Hostile: looked for \(secrets.count) secrets in the logs, the tables and the audit log")
    }

    /// All pages, of all tenants.
    private func auditLog() async throws -> String {
        var (text, cursor) = ("", "")
        repeat {
            let answer = try await self.suite.request(
                "GET", .auth, "/v1/auth/audit?limit=100\(cursor)", token: try self.suite.ownerKey)
            #expect(answer.status == 200)
            text += String(decoding: answer.body.bytes, as: UTF8.self)
            cursor = answer["pagination"]?["next_cursor"]?.string.map { "&cursor=\($0)" } ?? ""
        } while !cursor.isEmpty
        return text
    }
}
