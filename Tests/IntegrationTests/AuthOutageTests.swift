import Events
import Foundation
import TestSupport
import Testing

/// Auth is killed, unreachable, and back: who is connected stays, who has a token comes in, and what was revoked stays out.
@Suite("Auth's absence", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct AuthOutageTests {
    private static func openAll(_ suite: Suite, _ token: String, _ kind: String) async throws -> [EdgeClient] {
        var clients: [EdgeClient] = []
        for dialect in EdgeClient.dialects {
            clients.append(try await EdgeClient.open(suite, dialect, token, kind: kind))
        }
        return clients
    }

    private static func outcomes(_ suite: Suite, _ token: String, _ kind: String) async throws -> [EdgeClient.Outcome] {
        var outcomes: [EdgeClient.Outcome] = []
        for dialect in EdgeClient.dialects {
            outcomes.append(try await EdgeClient.outcome(suite, dialect, token, kind: kind))
        }
        return outcomes
    }

    private static func areAlive(_ clients: [EdgeClient]) async throws -> Bool {
        for client in clients where try await !client.isAlive() { return false }
        return true
    }

    private static let welcome = Array(repeating: EdgeClient.Outcome.welcome, count: 5)
    /// Each dialect's way to say: later.
    private static let later: [EdgeClient.Outcome] = [
        .refused(status: 503, canRetry: true), .closed(code: 0, error: "err_deadline_exceeded"),
        .closed(code: 4500, error: "SERVICE_UNAVAILABLE"), .refused(status: 503, canRetry: true),
        .closed(code: 4500, error: "INTERNAL_ERROR"),
    ]

    @Test func `auth is killed: connections live on, tokens and known keys come in, other keys are put off`()
        async throws
    {
        try await Suite.with([.auth]) { suite in
            let (jwt, later) = (try await suite.token(), try await suite.token())
            let (key, unknown) = (try await suite.token("apikey"), try await suite.token("apikey"))
            let clients = try await Self.openAll(suite, jwt, "jwt") + Self.openAll(suite, key, "apikey")
            try await suite.kill9(.auth)
            #expect(try await Self.outcomes(suite, jwt, "jwt") == Self.welcome)
            #expect(try await Self.outcomes(suite, later, "jwt") == Self.welcome)
            #expect(try await Self.outcomes(suite, key, "apikey") == Self.welcome)
            #expect(try await Self.outcomes(suite, unknown, "apikey") == Self.later)
            // A token that nobody signed is refused all the same.
            let forged =
                jwt.split(separator: ".").dropLast().joined(separator: ".") + "." + String(repeating: "A", count: 86)
            #expect(
                try await EdgeClient.outcome(suite, 3, forged) == .refused(status: 401, canRetry: false))
            #expect(try await Self.areAlive(clients))
            try suite.start(.auth)
            try await Suite.eventually("keys work again") {
                try await Self.outcomes(suite, unknown, "apikey") == Self.welcome
            }
            #expect(try await Self.areAlive(clients))
        }
    }

    @Test func `a gateway and a service that start while auth is away know its keys and what was revoked`() async throws
    {
        let cache = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: cache) }
        let environment = ["AUTH_CACHE_DIR": cache.path, "LOG_LEVEL": "trace"]
        try await Suite.with([.auth, .streamMetrics], environment: environment) { suite in
            let good = try await suite.token()
            let revoked = try await suite.revocable("jwt")
            let id = try #require(revoked.path.split(separator: "/").last.map(String.init))
            try await suite.revoke(revoked)
            try await Suite.eventually("it is in both caches") {
                ["gateway.gateway-0", "stream-metrics"].allSatisfy { name in
                    let text = try? String(contentsOf: cache.appending(path: "\(name).json"), encoding: .utf8)
                    return text?.contains(id) ?? false
                }
            }
            try await suite.kill9(.auth)
            try await suite.end("gateway-0", SIGKILL)
            try await suite.kill9(.streamMetrics)
            try suite.startGateway()
            try suite.start(.streamMetrics)
            try await Suite.eventually("the gateway has keys") {
                await suite.readiness(port: suite.operatorsPort())["auth-keys"] == true
            }
            #expect(try await Self.outcomes(suite, good, "jwt") == Self.welcome)
            let refused = try await Self.outcomes(suite, revoked.token, "jwt")
            #expect(
                refused == [
                    .refused(status: 401, canRetry: false), .closed(code: 0, error: "err_unauthorized"),
                    .closed(code: 4401, error: "AUTHENTICATION_REQUIRED"), .refused(status: 401, canRetry: false),
                    .closed(code: 4401, error: "AUTH_FAILED"),
                ])
            try await Suite.eventually("stream-metrics serves") {
                let answer = try? await suite.request("GET", .streamMetrics, "/v1/streams", token: good)
                return answer?.status == 200
            }
            let answer = try await suite.request("GET", .streamMetrics, "/v1/streams", token: revoked.token)
            #expect(answer.status == 401)
            // No credential is in a log, however much is logged, nor in what is kept.
            for process in ["gateway-0", "stream-metrics"] {
                for token in [good, revoked.token] {
                    let signature = try #require(token.split(separator: ".").last)
                    #expect(!suite.log(process).contains(signature), "\(process)")
                }
            }
        }
    }

    @Test func `a gateway that starts while auth has no database lets no token in until it knows what was revoked`()
        async throws
    {
        let cache = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: cache) }
        try await PostgresFixture.with { postgres in
            try await Suite.with([.auth], databaseURL: postgres.url) { suite in
                let (good, revoked) = (try await suite.token(), try await suite.revocable("jwt"))
                try await suite.revoke(revoked)
                try await suite.end("gateway-0", SIGKILL)
                try await postgres.stop()
                // Without what its predecessor kept.
                try suite.startGateway(environment: ["AUTH_CACHE_DIR": cache.path])
                try await Suite.eventually("the gateway hears auth") {
                    // It announces itself; its log cannot be followed without the database.
                    let heard = #"bus_clock_skew_seconds{publisher="auth"}"#
                    // `try?`: it does not listen yet.
                    return await (try? Suite.metric(heard, port: suite.operatorsPort())) != nil
                }
                for token in [good, revoked.token] {
                    #expect(try await Self.outcomes(suite, token, "jwt") == Self.later)
                }
                #expect(await suite.readiness(port: suite.operatorsPort())["auth-keys"] == false)
                try await postgres.start()
                try await suite.waitUntilGatewayHears([.auth])
                #expect(try await Self.outcomes(suite, good, "jwt") == Self.welcome)
                #expect(
                    try await EdgeClient.outcome(suite, 3, revoked.token) == .refused(status: 401, canRetry: false))
            }
        }
    }

    @Test func `what is revoked while a gateway reaches nobody ends within two seconds of contact`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let proxies = try await suite.startGatewayThroughProxies()
            let (doomed, kept) = (try await suite.revocable("jwt"), try await suite.revocable("jwt"))
            let clients = try await Self.openAll(suite, doomed.token, "jwt")
            let others = try await Self.openAll(suite, kept.token, "jwt")
            for proxy in proxies { try await proxy.forward(false) }
            try await suite.revoke(doomed)
            // Long enough to be noticed: keys are asked for every five seconds, and three are waited for the answer.
            try await Suite.eventually("the gateway misses auth") {
                await suite.readiness(port: suite.operatorsPort())["bus.auth"] == false
            }
            #expect(try await Self.areAlive(clients + others))
            let contact = ContinuousClock.now
            for proxy in proxies { try await proxy.forward(true) }
            for client in clients { #expect(try await client.socket.closeCode() == client.revokedCode) }
            #expect(ContinuousClock.now - contact < .seconds(2))
            #expect(try await Self.areAlive(others))
            for proxy in proxies { try await proxy.stop() }
        }
    }

    @Test func `a ticket opens one connection of any dialect, ends with its credential, and is nothing to an API`()
        async throws
    {
        try await Suite.with([.auth, .streamMetrics], gateways: 2) { suite in
            let credential = try await suite.revocable("apikey")
            func ticket() async throws -> String {
                let answer = try await suite.request("POST", .auth, "/v1/tickets", token: credential.token)
                return try #require(answer["ticket"]?.string, "\(answer.status) \(answer.body)")
            }
            var clients: [EdgeClient] = []
            for dialect in EdgeClient.dialects {
                let ticket = try await ticket()
                let answer = try await suite.request("GET", .streamMetrics, "/v1/streams", token: ticket)
                #expect(answer.status == 401)
                clients.append(try await EdgeClient.open(suite, dialect, ticket))
                #expect(try await EdgeClient.outcome(suite, dialect, ticket, gateway: 1) != .welcome)
                #expect(!suite.log("gateway-0").contains(ticket))
            }
            try await suite.revoke(credential)
            for client in clients { #expect(try await client.socket.closeCode() == client.revokedCode) }
        }
    }

    @Test func `an address that guesses is told when to come again, in every dialect and by every API`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let good = try await suite.token("apikey")
            for number in 0..<20 {
                _ = try? await suite.connect(0, "/?token=xp_wrong\(number)")
            }
            let expected: [EdgeClient.Outcome] = [
                .refused(status: 429, canRetry: true), .closed(code: 0, error: "rate_limit_exceeded"),
                .closed(code: 4429, error: "RATE_LIMITED"), .refused(status: 429, canRetry: true),
                .closed(code: 4429, error: "RATE_LIMITED"),
            ]
            // The pause is short at first, and grows with each guess.
            try await Suite.eventually("all are told") {
                _ = try? await suite.connect(0, "/?token=xp_more\(ULID().text)")
                return try await Self.outcomes(suite, good, "apikey") == expected
            }
            let answer = try await suite.request("GET", .streamMetrics, "/v1/streams", token: good)
            #expect(answer.status == 429 && answer.headers["retry-after"].flatMap { Int($0) } ?? 0 > 0)
            #expect(answer.body["error"]?["code"] == "RATE_LIMITED")
            // Tokens are not guessed at.
            #expect(try await Self.outcomes(suite, try await suite.token(), "jwt") == Self.welcome)
        }
    }

    @Test func `seats of a key are counted over all gateways, and come back with their connections`() async throws {
        try await Suite.with([.auth], gateways: 2) { suite in
            let key = try await suite.revocable("apikey", tier: "free")
            var clients: [EdgeClient] = []
            for number in 0..<50 {
                clients.append(try await EdgeClient.open(suite, 2, key.token, kind: "apikey", gateway: number % 2))
            }
            for gateway in 0...1 {
                let outcome = try await EdgeClient.outcome(suite, 2, key.token, kind: "apikey", gateway: gateway)
                #expect(outcome == .closed(code: 4429, error: "RATE_LIMITED"))
            }
            // Whoever comes back at the limit is let in again, on either gateway.
            for gateway in 0...1 {
                try await clients.removeFirst().socket.close()
                clients.append(try await EdgeClient.open(suite, 2, key.token, kind: "apikey", gateway: gateway))
            }
            // Auth's count begins anew with auth, and the gateways tell it what they hold.
            try await suite.kill9(.auth)
            try suite.start(.auth)
            try await suite.waitUntilReady(.auth)
            try await Suite.eventually("the count is right again") {
                let outcome = try await EdgeClient.outcome(suite, 2, key.token, kind: "apikey")
                return outcome == .closed(code: 4429, error: "RATE_LIMITED")
            }
            // The seats of a gateway that dies are free when its lease has ended.
            try await suite.end("gateway-1", SIGKILL)
            try await Suite.eventually("there is room again") {
                try await EdgeClient.outcome(suite, 2, key.token, kind: "apikey") == .welcome
            }
        }
    }
}

extension Suite {
    /// Starts a gateway that reaches auth through proxies: of its events, and of its commands.
    func startGatewayThroughProxies(_ number: Int = 0) async throws -> [TCPProxy] {
        // The last ports of the suite's block.
        let own = self.base + 390 + 2 * number
        var proxies: [TCPProxy] = []
        for offset in 0...1 {
            proxies.append(try await TCPProxy.start(port: own + offset, to: self.port(.auth) + 1 + offset))
        }
        try self.startGateway(number, environment: ["BUS_AUTH_PORT": "\(own)"])
        try await self.waitUntilGatewayHears([.auth], number)
        return proxies
    }
}
