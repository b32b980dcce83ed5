import Events
import Foundation
import NIOSSL
import TestSupport
import Testing

/// A gateway that is given a certificate: clients speak TLS, and nothing else about it is different.
@Suite("TLS", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct TLSTests {
    /// A gateway with TLS, and the services that it is to hear.
    private static func with(
        _ services: [ServiceName] = [], _ body: (Suite, TestAuthority) async throws -> Void
    ) async throws {
        try await TestAuthority.with { authority in
            try await Suite.with(services, tls: authority) { suite in try await body(suite, authority) }
        }
    }

    private static func descriptors(_ suite: Suite) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(suite.pid("gateway-0"))/fd").count
    }

    /// Resident memory in bytes.
    private static func memory(_ suite: Suite) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(suite.pid("gateway-0"))/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        return 1024 * (line?.split(separator: " ").dropLast().last.flatMap { Int($0) } ?? 0)
    }

    private static func ping(_ client: WebSocketClient) async throws {
        try await client.send(["action": "ping"])
        #expect(try await client.next()["event"] == "pong")
    }

    // MARK: dialects

    @Test func `every dialect gets the event of a REST call`() async throws {
        try await TestAuthority.with { try await DialectsEndToEndTests.hear(tls: $0) }
    }

    @Test func `every dialect refuses a wrong credential, with its status or close code`() async throws {
        try await TestAuthority.with { try await DialectsEndToEndTests.refuse(tls: $0) }
    }

    @Test func `a gateway that ends says each dialect's goodbye, and Airys' is none`() async throws {
        try await Self.with([.auth]) { suite, _ in
            let token = try await suite.token()
            var clients: [EdgeClient] = []
            for dialect in [0, 2, 3, 4] { clients.append(try await EdgeClient.open(suite, dialect, token)) }
            let start = ContinuousClock.now
            #expect(try await suite.end("gateway-0", SIGTERM) == 0)
            #expect(ContinuousClock.now - start < .seconds(10))
            var codes: [UInt16] = []
            for client in clients { codes.append(try await client.socket.closeCode()) }
            #expect(codes == [1001, 1001, 1001, 1006])
        }
    }

    @Test(.enabled(if: PythonClient.interpreter != nil, "needs Python packages: ./crosspoint test"))
    func `a standard client on OpenSSL`() async throws {
        try await Self.with([.auth]) { suite, authority in
            let report = try await PythonClient.run(
                "secure", against: suite, environment: ["CROSSPOINT_CA": authority.root])
            #expect(report.checked.count == 9, "\(report.checked)")
            #expect(!suite.log("gateway-0").contains(#""level":"error""#))
        }
    }

    // MARK: handshakes

    @Test func `the handshake is TLS 1.2 or 1.3 with HTTP/1.1, and shows the certificate`() async throws {
        try await Self.with { suite, authority in
            var settings = try authority.clientSettings()
            settings.applicationProtocols = ["h2", "http/1.1"]
            let probe = try await TLSProbe.shake(port: suite.edgePort(), settings)
            #expect(probe.version == .tlsv13)
            #expect(probe.alpn == "http/1.1")
            #expect(probe.serialNumber == (try authority.serialNumber()))

            settings.applicationProtocols = ["h2"]
            settings.maximumTLSVersion = .tlsv12
            let older = try await TLSProbe.shake(port: suite.edgePort(), settings)
            #expect(older.version == .tlsv12)
            #expect(older.alpn == nil)

            let expires = try await Suite.metric(
                "gateway_tls_certificate_expires_timestamp_seconds", port: suite.operatorsPort())
            #expect((0...86_400).contains((expires ?? 0) - Date().timeIntervalSince1970))
        }
    }

    @Test func `a handshake that fails harms nobody, and is counted`() async throws {
        try await Self.with { suite, authority in
            let client = try await suite.connect(0, "/")
            let port = suite.edgePort()
            var settings = try authority.clientSettings()
            (settings.minimumTLSVersion, settings.maximumTLSVersion) = (.tlsv1, .tlsv11)
            let old = settings
            await #expect(throws: NIOSSLError.self) { _ = try await TLSProbe.shake(port: port, old) }
            try await TestAuthority.with { other in
                let foreign = try other.clientSettings()
                await #expect(throws: NIOSSLError.self) { _ = try await TLSProbe.shake(port: port, foreign) }
            }
            await #expect(throws: (any Error).self) { _ = try await HTTPClient.request("GET", port: port, path: "/") }
            await #expect(throws: WebSocketClientError.notHTTP) { _ = try await WebSocketClient.connect(port: port) }
            let time = try await TLSProbe.silence(port: port)
            #expect(time > .milliseconds(4500) && time < .seconds(8))

            try await Suite.eventually("each is counted") {
                try await Suite.metric("gateway_tls_handshakes_failed_total", port: suite.operatorsPort()) == 5
            }
            try await Self.ping(client)
        }
    }

    // MARK: certificates

    @Test func `a new certificate is shown to new connections, and one that cannot be used to nobody`() async throws {
        try await Self.with { suite, authority in
            let settings = try authority.clientSettings()
            func shown() async throws -> [UInt8] {
                try await TLSProbe.shake(port: suite.edgePort(), settings).serialNumber
            }
            let client = try await suite.connect(0, "/")
            let first = try authority.serialNumber()
            #expect(try await shown() == first)

            try await authority.issue()
            let second = try authority.serialNumber()
            try await Suite.eventually("the new one is shown") { try await shown() == second }
            try await Self.ping(client)

            try authority.spoilCertificate()
            try await Suite.eventually("the gateway complains") {
                try await Suite.metric("gateway_tls_certificate_stale", port: suite.operatorsPort()) == 1
            }
            #expect(try await shown() == second)
            // Three looks later it has not said so again.
            try await Task.sleep(for: .seconds(6))
            let complaints = suite.log("gateway-0").split(separator: "\n").filter { $0.contains(#""level":"error""#) }
            #expect(complaints.count == 1, "\(complaints)")
            #expect(complaints.first?.contains("gateway.tls.certificate names") == true)

            try await authority.issue()
            let third = try authority.serialNumber()
            try await Suite.eventually("the next one is shown") { try await shown() == third }
            #expect(try await Suite.metric("gateway_tls_certificate_stale", port: suite.operatorsPort()) == 0)
            try await Self.ping(client)
        }
    }

    @Test func `a gateway does not start with a key that is not the certificate's, and says which setting is wrong`()
        async throws
    {
        try await TestAuthority.with { authority in
            try await TestAuthority.with { other in
                try await Suite.with([], gateways: 0) { suite in
                    let wrong = authority.environment.merging(["GATEWAY_TLS_KEY": other.key]) { $1 }
                    for (environment, problem) in [
                        (wrong, "gateway.tls.key names \(other.key), which is not the key of gateway.tls.certificate"),
                        (["GATEWAY_TLS_KEY": other.key], "gateway.tls.certificate is needed with gateway.tls.key"),
                    ] {
                        try suite.startGateway(environment: environment)
                        try await Suite.eventually("the gateway ends") { !suite.isRunning("gateway-0") }
                        #expect(try await suite.end("gateway-0", SIGTERM) == 1)
                        #expect(suite.log("gateway-0").contains(problem))
                    }
                }
            }
        }
    }

    // MARK: limits

    @Test func `connections that come and go leave no descriptors behind`() async throws {
        try await Self.with { suite, _ in
            try await suite.connect(0, "/").close()
            try await Suite.eventually("the first is gone") {
                try await Suite.metric(#"gateway_clients{dialect="source-saver"}"#, port: suite.operatorsPort()) == 0
            }
            let before = try Self.descriptors(suite)
            let port = suite.edgePort()
            for _ in 0..<10 {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<20 {
                        group.addTask {
                            // Some never get as far as TLS.
                            guard number < 18 else { return _ = try? await WebSocketClient.connect(port: port) }
                            let client = try await suite.connect(0, "/")
                            if number < 9 { try await client.close() } else { try await client.drop() }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            try await Suite.eventually("all are gone") { try Self.descriptors(suite) <= before }
        }
    }

    @Test func `a client that does not read is closed as too slow, and costs the gateway no memory`() async throws {
        try await Self.with { suite, _ in
            try await Flood.with(suite) { flood in
                var clients: [WebSocketClient] = []
                for _ in 0..<2 {
                    let client = try await suite.connect(0, "/")
                    try await client.send(["action": "subscribe", "events": ["sources:*"]])
                    #expect(try await client.next()["event"] == "subscription:confirmed")
                    clients.append(client)
                }
                let (reader, slow) = (clients[0], clients[1])
                try await slow.setReading(false)
                let (descriptors, memory) = (try Self.descriptors(suite), try Self.memory(suite))
                var published = 0
                repeat {
                    await flood.publish(50)
                    for number in published..<published + 50 {
                        #expect(try await reader.next()["data"]?["number"] == .integer(Int64(number + 1)))
                    }
                    published += 50
                    try #require(published < 10_000)
                } while try await Suite.metric("gateway_slow_clients_total", port: suite.operatorsPort()) != 1
                #expect(try Self.memory(suite) - memory < 64 << 20, "after \(published) events")
                try await Suite.eventually("it is let go") { try Self.descriptors(suite) <= descriptors - 3 }
                try await Self.ping(reader)
            }
        }
    }
}
