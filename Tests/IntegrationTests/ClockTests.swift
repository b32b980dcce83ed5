import Bus
import Events
import Glibc
import TestSupport
import Testing

/// The clocks of machines differ, and processes are stopped and go on: neither decides what is accepted or heard.
@Suite("Clocks", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct ClockTests {
    @Test func `gateways whose clocks are wrong verify keys, take seats, report, and miss no event`() async throws {
        try await ShiftedClock.with { environment in
            let environments = [environment(-4), environment(4)]
            try await Suite.with([.auth, .obsBridge, .performanceMonitor], gateways: 0) { suite in
                let key = try await suite.token("apikey")
                for (gateway, environment) in environments.enumerated() {
                    try suite.startGateway(gateway, environment: environment)
                    try await Self.expectFirstEvent(suite, gateway)
                    try await suite.waitUntilGatewayHears([.auth, .obsBridge, .performanceMonitor], gateway)
                    // A WAVE client has a key, and takes a seat.
                    #expect(try await EdgeClient.outcome(suite, 2, key, kind: "apikey", gateway: gateway) == .welcome)
                    let port = suite.operatorsPort(gateway: gateway)
                    #expect(try await Suite.metric("gateway_unshared_seats_total", port: port) ?? 0 == 0)
                    try await Suite.eventually("gateway \(gateway) has reported") {
                        try await Self.isReported(suite, "gateway-\(gateway)")
                    }
                    try await Self.expectSkew(gateway == 0 ? 4 : -4, of: .auth, port)
                }
            }
        }
    }

    @Test func `a command whose asker gave up while the service was stopped is not carried out`() async throws {
        try await Suite.with([.auth], gateways: 0) { suite in
            let token = SpendToken(id: ULID().text, until: .now + .seconds(60))
            let client = CommandClient(
                endpoints: [.auth: suite.endpoints(of: .auth, try suite.bus.keys(.gateway))], logger: quiet)
            try await with(client) {
                // Connected, so that the next command is sent and not held back here.
                #expect(try await client.call(FindChannel(id: "nobody")).name == nil)
                try await suite.pause("auth")
                await #expect(throws: CommandFailure.self) { try await client.call(token, timeout: .seconds(1)) }
                try suite.signal("auth", SIGCONT)
                #expect(try await client.call(token).isFirst)
            }
        }
    }

    /// A gateway that is just starting gives its first client the first event.
    private static func expectFirstEvent(_ suite: Suite, _ gateway: Int) async throws {
        var connected: WebSocketClient?
        try await Suite.eventually("gateway \(gateway) takes clients") {
            // `try?`: it does not listen yet.
            connected = try? await suite.connect(0, "/", gateway: gateway)
            return connected != nil
        }
        let client = try #require(connected)
        try await client.send(["action": "subscribe", "events": ["sources:*"]])
        _ = try await client.next { $0["event"] == "subscription:confirmed" }
        let name = "first of \(gateway)"
        let source: JSON = ["name": .string(name), "url": "https://example.com", "width": 800, "height": 600]
        #expect(try await suite.request("POST", .obsBridge, "/api/sources", source).status == 201)
        // The other gateway's may come first: it was a moment ago.
        _ = try await client.next { $0["data"]?["source"]?["name"] == .string(name) }
    }

    private static func isReported(_ suite: Suite, _ instance: String) async throws -> Bool {
        let answer = try await suite.request("GET", .performanceMonitor, "/api/system/processes")
        return answer["processes"]?.array?.contains { $0["instance"] == .string(instance) && $0["alive"] == true }
            ?? false
    }

    private static func expectSkew(_ seconds: Double, of publisher: ServiceName, _ port: Int) async throws {
        let range = (seconds - 0.5)...(seconds + 0.5)
        try await Suite.eventually("the clock of \(publisher.rawValue) is \(seconds) s off") {
            let series = "bus_clock_skew_seconds{publisher=\"\(publisher.rawValue)\"}"
            guard let measured = try await Suite.metric(series, port: port) else { return false }
            return range.contains(measured)
        }
        let shown = await Suite.readyz(port: port).clock_skew_seconds?[publisher.rawValue]
        #expect(range.contains(try #require(shown)))
    }
}
