import Configuration
import Peers
import ServiceKit
import Testing

@Suite struct ConfigurationTests {
    private func reader(_ values: [AbsoluteConfigKey: ConfigValue]) -> ConfigReader {
        ConfigReader(provider: InMemoryProvider(values: values))
    }

    @Test func `ports are counted from the base, and can be set`() throws {
        let plain = try HTTPConfig(self.reader([:]), service: "auth", offset: 20)
        #expect(plain.host == "127.0.0.1")
        #expect(plain.port == 3020)
        #expect(try HTTPConfig(self.reader(["ports.base": 4000]), service: "auth", offset: 20).port == 4020)
        let set = try HTTPConfig(
            self.reader(["ports.base": 4000, "auth.http.port": 81, "http.host": "::"]), service: "auth", offset: 20)
        #expect(set.port == 81)
        #expect(set.host == "::")
    }

    @Test(arguments: [
        ("https://studio.example", true), ("https://studio.example/a", true), ("http://localhost:3020", true),
        ("http://127.0.0.1:3020", true), ("http://[::1]:3020", true), ("http://studio.example", false),
        ("http://localhost.example", false), ("http://0.0.0.0:3020", false), ("https://a.example/?x", false),
        ("https://a.example/?", false), ("https://a.example/#y", false), ("https://user@a.example", false),
        ("studio.example", false), ("https://", false), ("ftp://a.example", false), ("", false),
    ])
    func `an address that clients are told is https, or on this machine`(url: String, isValid: Bool) {
        let reader = self.reader(["auth.issuer": ConfigValue(.string(url), isSecret: false)])
        func read(isInsecureAllowed: Bool) -> String? {
            try? reader.publicURL(
                forKey: "auth.issuer", default: "", isInsecureAllowed: isInsecureAllowed, insecureKey: "auth.insecure")
        }
        #expect(read(isInsecureAllowed: false) == (isValid ? url : nil))
        let isPlain = ["http://studio.example", "http://localhost.example", "http://0.0.0.0:3020"].contains(url)
        #expect(read(isInsecureAllowed: true) == (isValid || isPlain ? url : nil))
    }

    @Test(arguments: [
        ("ports.base", 80), ("ports.base", 60_001), ("auth.http.port", 0), ("auth.http.port", 65_536),
        ("auth.http.port", -1),
    ])
    func `a port out of range is refused by its name`(key: String, value: Int) {
        let reader = self.reader([
            AbsoluteConfigKey(key.split(separator: ".").map(String.init)): ConfigValue(.int(value), isSecret: false)
        ])
        let error = #expect(throws: ConfigurationError.self) { try HTTPConfig(reader, service: "auth", offset: 20) }
        #expect(error?.key == key)
    }

    @Test func `only a trusted proxy's word counts`() throws {
        let proxies = try TrustedProxies(
            self.reader(["http.trustedProxies": ConfigValue(.stringArray(["10.0.0.1"]), isSecret: false)]))
        #expect(proxies.client(Peer(connection: "192.0.2.1"), forwardedFor: "127.0.0.1") == "192.0.2.1")
        #expect(proxies.client(Peer(connection: "10.0.0.1"), forwardedFor: nil) == "10.0.0.1")
        #expect(proxies.client(Peer(connection: "10.0.0.1"), forwardedFor: "192.0.2.9") == "192.0.2.9")
        // What stands before the last address is what the client itself said.
        #expect(proxies.client(Peer(connection: "10.0.0.1"), forwardedFor: "127.0.0.1, 192.0.2.9") == "192.0.2.9")
        #expect(
            try TrustedProxies(self.reader([:])).client(Peer(connection: "127.0.0.1"), forwardedFor: "192.0.2.9")
                == "127.0.0.1")
    }

    @Test func `proxies may be a network, and what is neither is refused`() throws {
        func proxies(_ text: String) throws -> TrustedProxies {
            try TrustedProxies(
                self.reader(["http.trustedProxies": ConfigValue(.stringArray([text]), isSecret: false)]))
        }
        let network = try proxies("10.1.0.0/16")
        #expect(network.client(Peer(connection: "10.1.255.1"), forwardedFor: "192.0.2.9") == "192.0.2.9")
        #expect(network.client(Peer(connection: "10.2.0.1"), forwardedFor: "192.0.2.9") == "10.2.0.1")
        let error = #expect(throws: ConfigurationError.self) { try proxies("haproxy") }
        #expect(error?.key == "http.trustedProxies")
    }

    @Test func `what HAProxy carries is judged by the client, not by HAProxy`() throws {
        let proxies = try TrustedProxies(
            self.reader(["http.trustedProxies": ConfigValue(.stringArray(["127.0.0.1", ""]), isSecret: false)]))
        func client(_ source: ProxyHeader.Source?) -> String {
            proxies.client(Peer(connection: "127.0.0.1", carried: source), forwardedFor: "198.51.100.1")
        }
        #expect(client(.address("192.0.2.7")) == "192.0.2.7")
        #expect(client(.address("127.0.0.1")) == "198.51.100.1")
        #expect(client(nil) == "198.51.100.1")
    }

    @Test func `a process is ready when nothing is missing`() {
        let readiness = Readiness()
        #expect(readiness.status.isReady)
        readiness.require("database") { true }
        #expect(readiness.status.isReady)
        readiness.require("writer") { false }
        #expect(!readiness.status.isReady)
        #expect(readiness.status.degraded.isEmpty)
        #expect(readiness.status.dependencies == ["database": true, "writer": false])
        readiness.require("writer") { true }
        #expect(readiness.status.isReady)
    }

    @Test func `a process is ready without a dependency that only degrades it`() {
        let readiness = Readiness()
        readiness.require("database") { true }
        readiness.observe("bus.radio-playout") { .degraded }
        readiness.observe("bus.auth") { .degraded }
        #expect(readiness.status.isReady)
        #expect(readiness.status.degraded == ["bus.auth", "bus.radio-playout"])
        #expect(
            readiness.status.dependencies == ["database": true, "bus.radio-playout": false, "bus.auth": false])
        readiness.observe("bus.auth") { .missing }
        #expect(!readiness.status.isReady)
        #expect(readiness.status.degraded == ["bus.radio-playout"])
        readiness.observe("bus.auth") { .ready }
        #expect(readiness.status.isReady)
    }
}
