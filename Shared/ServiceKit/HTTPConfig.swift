public import Configuration
public import Logging

/// Where a process serves HTTP.
///
/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `http.host` | string | `127.0.0.1` | the address that all services bind |
/// | `ports.base` | int | 3000 | first port of the suite; every default port is counted from it |
/// | `<service>.http.port` | int | base + the service's offset | |
/// | `http.proxy.key.file` | string | none | the file with the key by which our own HAProxy is known; none: it is not |
public struct HTTPConfig: Sendable {
    public var host: String
    public var port: Int
    public var proxyKey: ProxyKey?

    /// - Parameter offset: the service's place after `ports.base`.
    public init(_ config: ConfigReader, service: String, offset: Int) throws {
        self.host = config.string(forKey: "http.host", default: "127.0.0.1")
        self.port = try config.port(forKey: ConfigKey("\(service).http.port"), default: config.portsBase() + offset)
        self.proxyKey = try ProxyKey(config)
    }

    /// Logs a warning if other machines can reach this port, which has no TLS of its own, and no proxy in front of it is named.
    public func warnIfExposed(_ proxies: TrustedProxies, _ logger: Logger) {
        guard self.proxyKey == nil else { return }
        Self.warnIfExposed(self.host, port: self.port, proxies, logger)
    }

    /// The same for another port without TLS.
    public static func warnIfExposed(_ host: String, port: Int, _ proxies: TrustedProxies, _ logger: Logger) {
        guard proxies.isEmpty, !TrustedProxies.isLoopback(name: host) else { return }
        logger.warning(
            """
            Other machines reach this port without TLS: passwords and tokens can be read on the way. Put a proxy with TLS in front and \
            name it in http.trustedProxies, or bind a loopback address
            """, metadata: ["at": "\(host):\(port)"])
    }
}

extension ConfigReader {
    /// The first port of the suite (`ports.base`), 1024 to 60000.
    public func portsBase() throws -> Int {
        let base = self.int(forKey: "ports.base", default: 3000)
        guard (1024...60_000).contains(base) else {
            throw ConfigurationError(key: "ports.base", problem: "must be from 1024 to 60000")
        }
        return base
    }

    public func port(forKey key: ConfigKey, default port: Int) throws -> Int {
        let port = self.int(forKey: key, default: port)
        guard (1...65_535).contains(port) else {
            throw ConfigurationError(key: "\(key)", problem: "must be a port, 1 to 65535")
        }
        return port
    }
}
