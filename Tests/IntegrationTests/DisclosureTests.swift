import Events
import Foundation
import TestSupport
import Testing

/// What the processes say, and to whom: nothing of other tenants, nothing of their own state to strangers, and no answer is kept by a cache.
@Suite("Disclosure", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct DisclosureTests {
    private static let services: [ServiceName] = [.auth, .obsBridge, .streamMetrics, .performanceMonitor]
    private static let afar = [("X-Forwarded-For", "203.0.113.9")]

    private static func with(_ body: (Suite) async throws -> Void) async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "servers-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: file) }
        let servers: JSON = [
            [
                "name": "srs", "kind": "srs", "secret": "0123456789abcdef", "statistics": "http://127.0.0.1:1/api",
            ]
        ]
        try Data(servers.bytes).write(to: file)
        let environment = [
            "HTTP_TRUSTED_PROXIES": "127.0.0.1", "HTTP_ANONYMOUS": "true",
            "STREAM_METRICS_MEDIA_SERVERS_FILE": file.path,
        ]
        try await Suite.with(Self.services, environment: environment, body)
    }

    @Test func `each learns what concerns them, and no more`() async throws {
        try await Self.with { suite in
            try await AccountsTests.channel(suite, "second")
            try await Self.checkEmailAddresses(suite)
            try await Self.checkHeaders(suite)
            try await Self.checkReadiness(suite)
            try await Self.checkHealth(suite)
            try await Self.checkGauges(suite)
            try await Self.checkMediaServers(suite)
        }
    }

    private static func checkHeaders(_ suite: Suite) async throws {
        let operators = suite.operatorsPort()
        for (port, path, status) in [
            (suite.port(.auth), "/v1/auth/me", 401), (suite.port(.auth), "/.well-known/jwks.json", 200),
            (suite.port(.auth), "/nowhere", 404), (suite.port(.obsBridge), "/api/sources", 200),
            (suite.port(.obsBridge), "/healthz", 200), (suite.port(.streamMetrics), "/v1/streams", 401),
            (suite.port(.performanceMonitor), "/api/config", 200), (operators, "/connections", 401),
            (operators, "/readyz", nil), (operators, "/explain", 401), (operators, "/nowhere", 404),
        ] as [(Int, String, Int?)] {
            let answer = try await HTTPClient.request("GET", port: port, path: path)
            #expect(status.map { $0 == answer.status } ?? true, "\(path): \(answer.status)")
            #expect(answer.headers["x-content-type-options"] == "nosniff", "\(path)")
            #expect(answer.headers["cache-control"] == "no-store", "\(path)")
        }
    }

    private static func checkReadiness(_ suite: Suite) async throws {
        let (reader, other) = (try await suite.token(scope: "system:read"), try await suite.token(scope: "obs:read"))
        for port in Self.services.map(suite.port) + [suite.operatorsPort()] {
            func ask(_ token: String?, _ headers: [(String, String)] = Self.afar) async throws -> JSON {
                let credential = token.map { [("Authorization", "Bearer \($0)")] } ?? []
                let answer = try await HTTPClient.request(
                    "GET", port: port, path: "/readyz", headers: headers + credential)
                let body = JSON(parsing: answer.body) ?? .null
                #expect(body["ready"] == .bool(answer.status == 200))
                return body
            }
            #expect(try await ask(nil).keys == ["ready"], "\(port)")
            #expect(try await ask(other).keys == ["ready"], "\(port)")
            #expect(try await ask(other, []).keys == ["ready"], "\(port)")
            for body in [try await ask(nil, []), try await ask(reader)] {
                let keys = body.keys.subtracting(["clock_skew_seconds"])
                #expect(keys == ["ready", "degraded", "dependencies"], "\(port)")
            }
        }
    }

    private static func checkHealth(_ suite: Suite) async throws {
        func ask(token: String? = nil) async throws -> JSON {
            let answer = try await suite.request(
                "GET", .performanceMonitor, "/api/health", token: token, headers: Self.afar)
            return answer.body
        }
        // Some services were never started.
        try await Suite.eventually("it is degraded") { try await ask()["status"] == "degraded" }
        let told = try await ask()
        #expect(told.keys == ["status", "timestamp", "uptime", "version", "environment"])
        #expect(try await ask(token: suite.token(scope: "obs:read")).keys == told.keys)
        let reason = try await ask(token: suite.token(scope: "system:read"))["reason"]?.string
        #expect(reason?.contains("radio-playout is down") == true)
    }

    private static func checkGauges(_ suite: Suite) async throws {
        func gauges(_ token: String) async throws -> Set<String> {
            let answer = try await suite.request("GET", .performanceMonitor, "/api/system/processes", token: token)
            #expect(answer.status == 200)
            return (answer["processes"]?.array ?? []).reduce(into: []) { $0.formUnion($1["gauges"]?.keys ?? []) }
        }
        let admin = try suite.ownerKey
        try await Suite.eventually("all have reported") {
            try await gauges(admin).isSuperset(of: ["streams.live", "sources.total", "obs.connected", "http.requests"])
        }
        let own = try await gauges(try await suite.token(scope: "system:read"))
        #expect(own.isSuperset(of: ["sources.total", "obs.connected", "connections", "http.requests"]))
        #expect(!own.contains("streams.live"))
        let others = try await gauges(try await suite.token(tenant: "second", scope: "*"))
        #expect(others == ["connections", "http.requests", "http.seconds"])
    }

    private static func checkMediaServers(_ suite: Suite) async throws {
        func server(_ token: String) async throws -> JSON {
            let list = try await suite.request("GET", .streamMetrics, "/v1/media/servers", token: token)
            return try #require(list["data"]?.array?.first, "\(list)")
        }
        try await Suite.eventually("it was asked") { try await server(try suite.ownerKey)["state"] == "unknown" }
        let all = try await server(try suite.ownerKey)
        #expect(all.keys.isSuperset(of: ["publishers", "players", "adopted", "ended"]))
        let shown = try await server(try await suite.token(tenant: "second", scope: "streams:read"))
        #expect(shown.keys == ["name", "kind", "state", "problem", "answered_at"])
        #expect(shown["state"] == "unknown" && shown["problem"] == "The server does not answer")
    }

    private static func checkEmailAddresses(_ suite: Suite) async throws {
        _ = try await AccountsTests.make(suite, "ada@one.example", [["channel": "default", "role": "dj"]])
        let manager = try await suite.token(tenant: "second", scope: "*")
        func make(_ email: String) async throws -> Suite.Answer {
            let body: JSON = ["email": .string(email), "roles": [["channel": "second", "role": "dj"]]]
            return try await suite.request("POST", .auth, "/v1/auth/users", body, token: manager)
        }
        let bob = try await make("bob@two.example")
        let id = try #require(bob["id"]?.string, "\(bob)")
        let unseen = try await make("ADA@one.example")
        let renamed = try await suite.request(
            "PATCH", .auth, "/v1/auth/users/\(id)", ["email": "ada@one.example"], token: manager)
        for answer in [unseen, renamed] {
            #expect(answer.status == 409 && answer["error"]?["message"] == "The e-mail address cannot be used")
        }
        let seen = try await make("bob@two.EXAMPLE")
        #expect(seen.status == 409 && seen["error"]?["message"] == "Another user has that e-mail address")
    }
}
