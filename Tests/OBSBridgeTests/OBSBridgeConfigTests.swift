import Configuration
import Crypto
import Foundation
import ServiceKit
import Testing

@testable import OBSBridge

@Suite struct OBSBridgeConfigTests {
    private static let digits = String(repeating: "0f", count: 32)

    /// Reads settings beside a file with the key.
    private static func config(
        _ values: [String: ConfigValue], key: String? = digits
    ) throws -> OBSBridgeConfig {
        let file = FileManager.default.temporaryDirectory.appending(path: "key-\(UUID().uuidString)")
        // `try?`: it lies in the folder for temporary files.
        defer { try? FileManager.default.removeItem(at: file) }
        var all: [AbsoluteConfigKey: ConfigValue] = [:]
        if let key {
            try key.write(to: file, atomically: true, encoding: .utf8)
            all["obs-bridge.secrets.key.file"] = ConfigValue(.string(file.path), isSecret: false)
        }
        for (name, value) in values { all[AbsoluteConfigKey(name.split(separator: ".").map(String.init))] = value }
        return try OBSBridgeConfig(ConfigReader(provider: InMemoryProvider(values: all)))
    }

    @Test func `everything but the key has a default`() throws {
        let config = try Self.config([:])
        #expect(config.publicURL == "http://127.0.0.1:3030")
        #expect(config.certificates == nil)
        #expect(config.samplesInterval == .seconds(30))
        #expect(config.samplesRetention == .seconds(7 * 86_400))
        #expect(config.auditRetention == .seconds(365 * 86_400))
        #expect(config.secretsKey == SymmetricKey(data: Array(repeating: 0x0F, count: 32)))
    }

    @Test func `a key may have white space around it`() throws {
        #expect(try Self.config([:], key: " \(Self.digits)\n").secretsKey.bitCount == 256)
    }

    @Test(arguments: [
        nil, "", "0f", String(repeating: "0f", count: 31), String(repeating: "0f", count: 33),
        String(repeating: "zz", count: 32), String(repeating: "0f", count: 31) + "0",
    ])
    func `a key that is none is refused by its name`(key: String?) {
        let error = #expect(throws: ConfigurationError.self) { try Self.config([:], key: key) }
        #expect(error?.key == "obs-bridge.secrets.key.file")
    }

    @Test(arguments: [
        ("obs-bridge.samples.interval", 5, 3600), ("obs-bridge.samples.retentionDays", 1, 3650),
        ("obs-bridge.audit.retentionDays", 1, 3650), ("obs-bridge.rate.limit", 0, 1_000_000),
        ("obs-bridge.rate.window", 1, 86_400),
    ])
    func `a number has bounds`(name: String, lowest: Int, highest: Int) throws {
        for value in [lowest, highest] {
            #expect(throws: Never.self) { try Self.config([name: ConfigValue(.int(value), isSecret: false)]) }
        }
        for value in [lowest - 1, highest + 1] {
            let error = #expect(throws: ConfigurationError.self) {
                try Self.config([name: ConfigValue(.int(value), isSecret: false)])
            }
            #expect(error?.key == name)
        }
    }

    @Test func `numbers reach their places`() throws {
        let config = try Self.config([
            "obs-bridge.samples.interval": 6, "obs-bridge.samples.retentionDays": 2,
            "obs-bridge.audit.retentionDays": 3,
        ])
        #expect(config.samplesInterval == .seconds(6))
        #expect(config.samplesRetention == .seconds(172_800))
        #expect(config.auditRetention == .seconds(259_200))
    }

    @Test(arguments: [
        ("http://localhost:81", "http://localhost:81"), ("https://a.example/", "https://a.example"),
        ("http://[::1]:3030/bridge/", "http://[::1]:3030/bridge"),
    ])
    func `a public address is taken without its last slash`(url: String, taken: String) throws {
        #expect(
            try Self.config(["obs-bridge.public.url": ConfigValue(.string(url), isSecret: false)]).publicURL == taken)
    }

    @Test(arguments: [
        "", "a.example", "ftp://a.example", "http://", "http:///x", "file:///etc", "http://a.example",
        "http://127.0.0.1.example", "https://a.example/?x", "https://a.example/#y", "https://user@a.example",
    ])
    func `a public address that is none is refused by its name`(url: String) {
        let error = #expect(throws: ConfigurationError.self) {
            try Self.config(["obs-bridge.public.url": ConfigValue(.string(url), isSecret: false)])
        }
        #expect(error?.key == "obs-bridge.public.url")
    }

    @Test func `an address without TLS elsewhere must be asked for`() throws {
        for values: [String: ConfigValue] in [
            ["obs-bridge.public.url": "http://a.example"], ["http.host": "192.0.2.1"],
        ] {
            #expect(throws: ConfigurationError.self) { try Self.config(values) }
            let config = try Self.config(values.merging(["obs-bridge.insecure": true]) { $1 })
            #expect(["http://a.example", "http://192.0.2.1:3030"].contains(config.publicURL))
        }
    }

    @Test(arguments: [("::1", "http://[::1]:3030"), ("127.0.0.1", "http://127.0.0.1:3030")])
    func `without one OBS goes where we listen`(host: String, url: String) throws {
        #expect(try Self.config(["http.host": ConfigValue(.string(host), isSecret: false)]).publicURL == url)
    }

    @Test func `certificates must be there`() throws {
        let name = "obs-bridge.certificates.file"
        let error = #expect(throws: ConfigurationError.self) { try Self.config([name: "/nowhere/ca.pem"]) }
        #expect(error?.key == name)
        #expect(try Self.config([name: "/dev/null"]).certificates == "/dev/null")
    }
}
