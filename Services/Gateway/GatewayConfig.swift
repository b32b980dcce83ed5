import Configuration
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `gateway.edge.port` | int | `ports.base` | the first of the five listeners, one a dialect |
/// | `gateway.edge.host` | string | `http.host` | the address that the listeners bind |
/// | `gateway.http.port` | int | `ports.base` + 10 | the operators' API |
/// | `gateway.instance` | string | `gateway-1` | tells replicas apart |
/// | `gateway.loops` | int | 1 | event loops, one thread each, 1 to 64 |
struct GatewayConfig {
    let edgeHost: String
    let edgePort: Int
    let http: HTTPConfig
    let instance: String
    let loops: Int

    /// - Parameter loops: what the command line says; it wins.
    init(_ config: ConfigReader, loops: Int?) throws {
        self.http = try HTTPConfig(config, service: "gateway", offset: 10)
        self.edgeHost = config.string(forKey: "gateway.edge.host", default: self.http.host)
        self.edgePort = try config.port(forKey: "gateway.edge.port", default: config.portsBase())
        self.instance = config.string(forKey: "gateway.instance", default: "gateway-1")
        self.loops = loops ?? config.int(forKey: "gateway.loops", default: 1)
        guard (1...64).contains(self.loops) else {
            throw ConfigurationError(key: "gateway.loops", problem: "must be from 1 to 64")
        }
    }
}
