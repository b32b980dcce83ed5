import Configuration
import FoundationEssentials
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `gateway.edge.port` | int | `ports.base` | the first of the five listeners, one a dialect |
/// | `gateway.edge.host` | string | `http.host` | the address that the listeners bind |
/// | `gateway.http.port` | int | `ports.base` + 10 | the operators' API |
/// | `gateway.instance` | string | the machine's name | tells replicas apart |
/// | `gateway.loops` | int | 1 | event loops, one thread each, 1 to 64 |
/// | `gateway.drain.seconds` | int | 25 | how long clients that can go on elsewhere have for it when the gateway ends, 0 to 25 |
/// | `gateway.reconnect.key.file` | string | none | the file with the key that all gateways sign reconnect tokens with, at least 32 characters; without one there are no such tokens |
/// | `gateway.origins` | string | none | the only values of a browser's `Origin` that are let in, separated by commas; none: any |
/// | `gateway.tls.certificate` | string | none | a file with the certificate that clients are shown, and its chain; they must speak TLS then |
/// | `gateway.tls.key` | string | none | a file with its key; both or neither |
struct GatewayConfig {
    let edgeHost: String
    let edgePort: Int
    let http: HTTPConfig
    let instance: String
    let loops: Int
    let drain: Duration
    let reconnectKey: [UInt8]?
    /// In lower case; `nil`: any.
    let origins: Set<String>?
    let tls: CertificateFiles?

    /// - Parameter loops: what the command line says; it wins.
    init(_ config: ConfigReader, loops: Int?) throws {
        self.http = try HTTPConfig(config, service: "gateway", offset: 10)
        self.edgeHost = config.string(forKey: "gateway.edge.host", default: self.http.host)
        self.edgePort = try config.port(forKey: "gateway.edge.port", default: config.portsBase())
        self.instance = config.string(forKey: "gateway.instance", default: HostName.own)
        self.loops = loops ?? config.int(forKey: "gateway.loops", default: 1)
        guard (1...64).contains(self.loops) else {
            throw ConfigurationError(key: "gateway.loops", problem: "must be from 1 to 64")
        }
        let drain = config.int(forKey: "gateway.drain.seconds", default: 25)
        guard (0...25).contains(drain) else {
            throw ConfigurationError(key: "gateway.drain.seconds", problem: "must be from 0 to 25")
        }
        self.drain = .seconds(drain)
        self.tls = try CertificateFiles(config)
        self.reconnectKey = try config.string(forKey: "gateway.reconnect.key.file").map(Self.key)
        let origins = (config.string(forKey: "gateway.origins") ?? "").split(separator: ",")
            .map { $0.filter { !$0.isWhitespace }.lowercased() }
        self.origins = origins.isEmpty ? nil : Set(origins)
    }

    private static func key(in path: String) throws -> [UInt8] {
        // `try?`: whatever the reason, the operator needs the key and the path.
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw ConfigurationError(
                key: "gateway.reconnect.key.file", problem: "names a file that cannot be read: \(path)")
        }
        let key = Array(text.filter { !$0.isWhitespace }.utf8)
        guard key.count >= 32 else {
            throw ConfigurationError(key: "gateway.reconnect.key.file", problem: "must hold at least 32 characters")
        }
        return key
    }
}
