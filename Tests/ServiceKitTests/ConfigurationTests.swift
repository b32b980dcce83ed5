import Configuration
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
        #expect(proxies.client(peer: "192.0.2.1", forwardedFor: "127.0.0.1") == "192.0.2.1")
        #expect(proxies.client(peer: "10.0.0.1", forwardedFor: nil) == "10.0.0.1")
        #expect(proxies.client(peer: "10.0.0.1", forwardedFor: "192.0.2.9") == "192.0.2.9")
        // What stands before the last address is what the client itself said.
        #expect(proxies.client(peer: "10.0.0.1", forwardedFor: "127.0.0.1, 192.0.2.9") == "192.0.2.9")
        #expect(
            try TrustedProxies(self.reader([:])).client(peer: "127.0.0.1", forwardedFor: "192.0.2.9") == "127.0.0.1")
    }

    @Test func `proxies may be a network, and what is neither is refused`() throws {
        func proxies(_ text: String) throws -> TrustedProxies {
            try TrustedProxies(
                self.reader(["http.trustedProxies": ConfigValue(.stringArray([text]), isSecret: false)]))
        }
        let network = try proxies("10.1.0.0/16")
        #expect(network.client(peer: "10.1.255.1", forwardedFor: "192.0.2.9") == "192.0.2.9")
        #expect(network.client(peer: "10.2.0.1", forwardedFor: "192.0.2.9") == "10.2.0.1")
        let error = #expect(throws: ConfigurationError.self) { try proxies("haproxy") }
        #expect(error?.key == "http.trustedProxies")
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("128.0.0.1", false),
        ("", false),
    ])
    func `loopback is loopback`(address: String, isLoopback: Bool) {
        #expect(TrustedProxies.isLoopback(address) == isLoopback)
    }

    @Test func `a process is ready when nothing is missing`() {
        let readiness = Readiness()
        #expect(readiness.isReady)
        readiness.require("database") { true }
        #expect(readiness.isReady)
        readiness.require("bus.auth") { false }
        #expect(!readiness.isReady)
        #expect(readiness.dependencies == ["database": true, "bus.auth": false])
        readiness.require("bus.auth") { true }
        #expect(readiness.isReady)
    }
}
