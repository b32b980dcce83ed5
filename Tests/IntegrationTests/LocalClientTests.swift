import Events
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport
import Testing

/// Who is local and so needs no credential, and whose word about a client's address counts: with the project's HAProxy and a real
/// nginx.
@Suite(
    "Local clients", .enabled(if: Suite.isEnabled, Suite.reason),
    .enabled(if: ProxiesFixture.isAvailable, ProxiesFixture.reason), .serialized)
struct LocalClientTests {
    private typealias Fields = [(String, String)]

    private struct Entrance {
        let name: String
        let port: Int
        var tls: NIOSSLContext?
    }

    @Test func `through real proxies`() async throws {
        try await TestAuthority.with { authority in
            try await ProxiesFixture.with { proxies in
                try await Suite.with([.auth, .obsBridge], environment: proxies.environment) { suite in
                    try await proxies.start(for: suite, authority)
                    try await Self.letsInWhoIsHere(suite, proxies)
                    try await Self.refusesWhoComesThroughNginx(suite, proxies, authority)
                    try await Self.refusesForeignPages(suite, proxies)
                    try await Self.believesHAProxyOnly(suite, proxies)
                    try await Self.keepsBoundKeysBound(suite, proxies)
                }
            }
        }
    }

    // MARK: HAProxy and nginx

    private static func letsInWhoIsHere(_ suite: Suite, _ proxies: ProxiesFixture) async throws {
        let haproxy = proxies.haproxyPort(suite)
        for port in [suite.port(.obsBridge), haproxy] {
            #expect(try await Self.status(port) == 200)
            let page = [("Origin", "http://localhost:8080"), ("Sec-Fetch-Site", "cross-site"), ("Host", "localhost:1")]
            #expect(try await Self.status(port, page) == 200)
        }
        for port in [suite.edgePort(), haproxy] {
            #expect(try await Self.upgrade(port) == 101)
            #expect(try await Self.upgrade(port, [("Origin", "http://127.0.0.1:8080")]) == 101)
            #expect(try await Self.upgrade(port, [("Origin", "file://")]) == 101)
        }
        #expect(try await Self.operators(suite) == 200)
        // Who is connected is not for every program of this machine.
        #expect(try await Self.status(suite.operatorsPort(), path: "/connections") == 401)
        // What a client says of itself makes it nobody else, and certainly not local.
        for fields in [("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1"), ("Via", "1.1 here")] {
            for port in [suite.port(.obsBridge), haproxy] { #expect(try await Self.status(port, [fields]) == 401) }
            for port in [suite.edgePort(), haproxy] { #expect(try await Self.upgrade(port, [fields]) == 401) }
            #expect(try await Self.operators(suite, [fields]) == 401)
        }
    }

    private static func refusesWhoComesThroughNginx(
        _ suite: Suite, _ proxies: ProxiesFixture, _ authority: TestAuthority
    ) async throws {
        let token = try await suite.token()
        let tls = try NIOSSLContext(configuration: authority.clientSettings())
        let entrances = ProxiesFixture.Way.allCases.map { way in
            Entrance(
                name: "\(way)", port: proxies.nginxPort(suite, way), tls: way == .secureToHAProxy ? tls : nil)
        }
        for entrance in entrances {
            if entrance.tls == nil, entrance.name != "\(ProxiesFixture.Way.usualToGateway)" {
                for host in ["studio.example", "localhost", "127.0.0.1"] {
                    let status = try await Self.status(entrance.port, [("Host", host)])
                    #expect(status == 401, "\(entrance.name) as \(host)")
                }
                let known = try await Self.status(entrance.port, [("Authorization", "Bearer \(token)")])
                #expect(known == 200, "\(entrance.name)")
            }
            guard entrance.name.hasPrefix("usual") || entrance.tls != nil else { continue }
            guard entrance.name != "\(ProxiesFixture.Way.usualToService)" else { continue }
            for host in ["studio.example", "localhost"] {
                let status = try await Self.upgrade(entrance.port, [("Host", host)], tls: entrance.tls)
                #expect(status == 401, "\(entrance.name) as \(host)")
            }
            let known = try await Self.upgrade(entrance.port, path: "/?token=\(token)", tls: entrance.tls)
            #expect(known == 101, "\(entrance.name)")
        }
    }

    private static func refusesForeignPages(_ suite: Suite, _ proxies: ProxiesFixture) async throws {
        let haproxy = proxies.haproxyPort(suite)
        for fields in [
            [("Origin", "https://evil.example")], [("Origin", "null")], [("Host", "evil.example:3030")],
            [("Host", "evil.example"), ("Origin", "http://evil.example")],
        ] as [Fields] {
            for port in [suite.edgePort(), haproxy] { #expect(try await Self.upgrade(port, fields) == 401) }
            for port in [suite.port(.obsBridge), haproxy] { #expect(try await Self.status(port, fields) == 401) }
            #expect(try await Self.operators(suite, fields) == 401)
        }
        #expect(try await Self.status(suite.port(.obsBridge), [("Sec-Fetch-Site", "cross-site")]) == 401)
        #expect(try await Self.status(suite.port(.obsBridge), [("Host", "localhost"), ("Host", "localhost")]) != 200)
    }

    // MARK: PROXY headers

    private static func believesHAProxyOnly(_ suite: Suite, _ proxies: ProxiesFixture) async throws {
        let token = try await suite.token(scope: "*")
        let key = proxies.key
        let api = suite.port(.obsBridge)
        for (header, status) in [
            (Self.header([127, 0, 0, 1], key), 200), (Self.header([203, 0, 113, 9], key), 401),
            (Self.header(nil, nil), 200),
        ] {
            #expect(try await Self.status(api, preamble: header) == status)
            #expect(try await Self.operators(suite, preamble: header) == status)
            let upgrade = try await Self.upgrade(suite.edgePort(), preamble: header)
            #expect(upgrade == (status == 200 ? 101 : 401))
        }
        #expect(
            try await Self.status(
                api, [("Authorization", "Bearer \(token)")], preamble: Self.header([203, 0, 113, 9], key)) == 200)
        let client = try await WebSocketClient.connect(
            port: suite.edgePort(), path: "/?token=\(token)", preamble: Self.header([203, 0, 113, 9], key))
        let listed = try await suite.connectedAddresses()
        #expect(listed.contains("203.0.113.9"))
        try await client.close()

        let refused = "http_proxy_headers_refused_total"
        for header in [
            Self.header([127, 0, 0, 1], nil), Self.header([127, 0, 0, 1], Array(key.dropLast()) + [0]),
            Self.header([127, 0, 0, 1], []), Array(Self.header([127, 0, 0, 1], key).prefix(13)) + [0xFF, 0xFF, 0xFF],
        ] {
            for port in [api, suite.operatorsPort()] {
                await #expect(throws: (any Error).self) { _ = try await Self.status(port, preamble: header) }
            }
            await #expect(throws: (any Error).self) {
                _ = try await WebSocketClient.connect(port: suite.edgePort(), preamble: header)
            }
        }
        #expect(try await Suite.metric(refused, port: api) == 4)
        #expect(try await Suite.metric(refused, port: suite.operatorsPort()) == 8)
        // A head behind a header that never ends falls under the head's time.
        let start = ContinuousClock.now
        let unfinished = Array(Self.header([127, 0, 0, 1], key).prefix(40))
        async let service: Void = Self.awaitEnd(api, unfinished)
        async let gateway: Void = Self.awaitEnd(suite.edgePort(), unfinished)
        _ = try await (service, gateway)
        #expect(ContinuousClock.now - start > .seconds(4) && ContinuousClock.now - start < .seconds(9))
    }

    private static func keepsBoundKeysBound(_ suite: Suite, _ proxies: ProxiesFixture) async throws {
        let made = try await suite.request(
            "POST", .auth, "/v1/auth/keys",
            ["name": "bound", "scopes": ["sources:read", "obs:read"], "allowed_ips": ["192.0.2.55"]],
            token: try suite.ownerKey)
        let key = try #require(made["key"]?.string, "\(made.body)")
        let shown = [("X-API-Key", key)]
        for port in [suite.port(.obsBridge), proxies.haproxyPort(suite)] {
            #expect(try await Self.status(port, shown) == 401)
            #expect(try await Self.status(port, shown + [("X-Forwarded-For", "192.0.2.55")]) == 401)
        }
        let carried = Self.header([192, 0, 2, 55], proxies.key)
        #expect(try await Self.status(suite.port(.obsBridge), shown, preamble: carried) == 200)
    }

    @Test func `a PROXY header comes before TLS`() async throws {
        try await TestAuthority.with { authority in
            try await ProxiesFixture.with { proxies in
                let settings = proxies.environment.merging(["HTTP_ANONYMOUS": "true"]) { $1 }
                try await Suite.with([], environment: settings, tls: authority) { suite in
                    let tls = try NIOSSLContext(configuration: authority.clientSettings())
                    let port = suite.edgePort()
                    let here = Self.header([127, 0, 0, 1], proxies.key)
                    #expect(try await Self.upgrade(port, tls: tls) == 101)
                    #expect(try await Self.upgrade(port, tls: tls, preamble: here) == 101)
                    let elsewhere = Self.header([203, 0, 113, 9], proxies.key)
                    #expect(try await Self.upgrade(port, tls: tls, preamble: elsewhere) == 401)
                    let forged = Self.header([127, 0, 0, 1], nil)
                    await #expect(throws: (any Error).self) {
                        _ = try await Self.upgrade(port, tls: tls, preamble: forged)
                    }
                    #expect(
                        try await Suite.metric("http_proxy_headers_refused_total", port: suite.operatorsPort()) == 1)
                }
            }
        }
    }

    @Test func `who serves others lets nobody in without a credential, and without a key no header counts`()
        async throws
    {
        try await Suite.with([.obsBridge], environment: ["GATEWAY_ORIGINS": "https://studio.example"]) { suite in
            let rest = try await Self.status(suite.port(.obsBridge))
            let operators = try await Self.status(suite.operatorsPort(), path: "/connections")
            let upgrade = try await Self.upgrade(suite.edgePort())
            #expect(rest == 401 && operators == 401 && upgrade == 401)
            for header in [Self.header([127, 0, 0, 1], Array(repeating: 7, count: 64)), Self.header(nil, nil)] {
                for port in [suite.port(.obsBridge), suite.operatorsPort()] {
                    await #expect(throws: (any Error).self) {
                        _ = try await Self.status(port, path: "/healthz", preamble: header)
                    }
                }
                await #expect(throws: (any Error).self) {
                    _ = try await WebSocketClient.connect(port: suite.edgePort(), preamble: header)
                }
            }
        }
    }

    // MARK: tools

    /// A PROXY header for that IPv4 address with that unique identifier; without an address a health check's.
    private static func header(_ address: [UInt8]?, _ key: [UInt8]?) -> [UInt8] {
        let signature = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
        guard let address else { return signature + [0x20, 0, 0, 0] }
        let value = key.map { [5, 0, UInt8($0.count)] + $0 } ?? []
        return signature + [0x21, 0x11, 0, UInt8(12 + value.count)] + address + [127, 0, 0, 1, 0xD0, 0, 0x0B, 0xB8]
            + value
    }

    private static func status(
        _ port: Int, _ headers: Fields = [], path: String = "/api/sources", preamble: [UInt8] = []
    ) async throws -> Int {
        try await HTTPClient.request(
            "GET", port: port, path: path, headers: headers, preamble: preamble, within: .seconds(10)
        ).status
    }

    /// 200 if the gateway's operators' port takes the client for one on this machine, else 401.
    private static func operators(_ suite: Suite, _ headers: Fields = [], preamble: [UInt8] = []) async throws -> Int {
        let answer = try await HTTPClient.request(
            "GET", port: suite.operatorsPort(), path: "/readyz", headers: headers, preamble: preamble,
            within: .seconds(10))
        return JSON(parsing: answer.body)?["dependencies"] == nil ? 401 : 200
    }

    /// The status of an upgrade's answer.
    private static func upgrade(
        _ port: Int, _ headers: Fields = [], path: String = "/", tls: NIOSSLContext? = nil, preamble: [UInt8] = []
    ) async throws -> Int {
        do {
            let client = try await WebSocketClient.connect(
                port: port, path: path, headers: headers, tls: tls, preamble: preamble)
            try await client.send(["action": "ping"])
            #expect(try await client.next()["event"] == "pong")
            try await client.drop()
            return 101
        } catch let refusal as WebSocketRefused {
            return refusal.status
        }
    }

    /// Sends bytes and waits until the other side ends the connection.
    private static func awaitEnd(_ port: Int, _ bytes: [UInt8]) async throws {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port).get()
        try await channel.writeAndFlush(ByteBuffer(bytes: bytes))
        try await channel.closeFuture.get()
    }
}

extension Suite {
    /// Where the clients of the first gateway come from, as its operators are told.
    fileprivate func connectedAddresses() async throws -> [String] {
        let answer = try await HTTPClient.request(
            "GET", port: self.operatorsPort(), path: "/connections",
            headers: [("Authorization", "Bearer \(try self.ownerKey)")])
        let connections = JSON(parsing: answer.body)?["connections"]?.array ?? []
        return connections.compactMap { $0["address"]?.string }
    }
}
