import Events
import Foundation
import NIOConcurrencyHelpers
import TestSupport
import Testing

/// A thousand connections over five dialects and two gateways, of which half lose their credential: all of those end, and no other.
/// `./crosspoint test revocation` runs it; with `CROSSPOINT_HEAVY=1` the part with the events cut is as large.
@Suite("Revocation load", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct RevocationLoadTests {
    private static let isHeavy = ProcessInfo.processInfo.environment["CROSSPOINT_HEAVY"] == "1"
    /// Credentials that are made, and whose connections are opened, at once: no more than may wait for a password to be hashed, since
    /// users take longest, and are soon all that is left.
    private static let openedAtOnce = 24
    /// Credentials that are revoked at once.
    private static let revokedAtOnce = 8

    /// A credential with a connection in each dialect.
    private struct Holder: Sendable {
        let credential: Suite.Revocable
        let clients: [EdgeClient]
    }

    @Test func `100 credentials are revoked: their 500 connections end, 99 in 100 within a second, and no other`()
        async throws
    {
        try await Suite.with([.auth], gateways: 2, environment: Self.environment) { suite in
            let times = try await Self.measure(suite, credentials: 200)
            Self.report("events and commands", times)
            #expect(Self.percentile(times, 99) < .seconds(1))
        }
    }

    @Test func `with the events cut off they end within 30 seconds`() async throws {
        try await Suite.with([.auth], gateways: 0, environment: Self.environment) { suite in
            let proxies = [
                try await suite.startGatewayThroughProxies(0), try await suite.startGatewayThroughProxies(1),
            ]
            let times = try await Self.measure(suite, credentials: Self.isHeavy ? 200 : 20) {
                for proxy in proxies { try await proxy[0].forward(false) }
            }
            Self.report("commands only", times)
            #expect(Self.percentile(times, 100) < .seconds(30))
            for proxy in proxies.flatMap(\.self) { try await proxy.stop() }
        }
    }

    /// Each credential comes from an address of its own, or attempts would be too many for one. Passwords are not what is measured.
    private static let environment = [
        "HTTP_TRUSTED_PROXIES": "127.0.0.1", "LOG_LEVEL": "info", "AUTH_PASSWORD_COST": "10",
    ]

    /// From the answer to each revocation to the end of each of its connections.
    private static func measure(
        _ suite: Suite, credentials count: Int, before: () async throws -> Void = {}
    ) async throws -> [Duration] {
        let holders = try await Self.each(Array(0..<count), atOnce: Self.openedAtOnce) { number in
            let kinds = ["apikey", "jwt", "oauth2"]
            let credential =
                number % 4 == 3
                ? try await suite.revocableUser("user-\(number)") : try await suite.revocable(kinds[number % 4])
            var clients: [EdgeClient] = []
            for dialect in EdgeClient.dialects {
                clients.append(
                    try await EdgeClient.open(
                        suite, dialect, credential.token, kind: credential.kind, gateway: (number + dialect) % 2,
                        address: "10.0.\(number / 200).\(1 + number % 200)"))
            }
            return Holder(credential: credential, clients: clients)
        }
        let (doomed, kept) = (holders.prefix(count / 2), holders.suffix(count - count / 2))
        #expect(holders.reduce(0) { $0 + $1.clients.count } == 5 * count)
        try await before()
        let times = try await withThrowingTaskGroup(of: [Duration].self) { group in
            let answers = NIOLockedValueBox<[String: ContinuousClock.Instant]>([:])
            for holder in doomed {
                for client in holder.clients {
                    group.addTask {
                        let code = try await client.socket.closeCode(within: .seconds(60))
                        let closed = ContinuousClock.now
                        #expect(code == client.revokedCode)
                        // A connection may end before the answer is read: that is no delay.
                        try await Suite.eventually("the answer") {
                            answers.withLockedValue { $0[holder.credential.path] } != nil
                        }
                        let answered = answers.withLockedValue { $0[holder.credential.path] } ?? closed
                        return [max(.zero, closed - answered)]
                    }
                }
            }
            group.addTask {
                try await Self.each(Array(doomed), atOnce: Self.revokedAtOnce) { holder in
                    try await suite.revoke(holder.credential)
                    let now = ContinuousClock.now
                    answers.withLockedValue { $0[holder.credential.path] = now }
                }
                return []
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        for holder in kept {
            for client in holder.clients { #expect(try await client.isAlive()) }
        }
        for holder in kept {
            for client in holder.clients { try await client.socket.drop() }
        }
        return times.sorted()
    }

    @discardableResult
    private static func each<Item: Sendable, Value: Sendable>(
        _ items: [Item], atOnce: Int, _ body: @escaping @Sendable (Item) async throws -> Value
    ) async throws -> [Value] {
        try await withThrowingTaskGroup(of: Value.self) { group in
            var values: [Value] = []
            for (index, item) in items.enumerated() {
                if index >= atOnce, let value = try await group.next() { values.append(value) }
                group.addTask { try await body(item) }
            }
            for try await value in group { values.append(value) }
            return values
        }
    }

    private static func percentile(_ sorted: [Duration], _ percent: Int) -> Duration {
        sorted[max(0, (sorted.count * percent + 99) / 100 - 1)]
    }

    private static func report(_ how: String, _ times: [Duration]) {
        let words = [("p50", 50), ("p99", 99), ("max", 100)].map { name, percent in
            "\(name) \(Self.percentile(times, percent).milliseconds) ms"
        }
        print(
            "Revocation, \(how): \(times.count) connections closed, from the REST answer \(words.joined(separator: ", "))"
        )
    }
}
