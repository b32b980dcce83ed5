public import Configuration
public import Events

/// Where everybody's bus sockets are.
///
/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `bus.bind` | string | `127.0.0.1` | the address that this process's own bus sockets bind; `*` for all |
/// | `bus.<service>.host` | string | `127.0.0.1` | where to find a service's bus sockets |
/// | `bus.<service>.port` | int | its default HTTP port + 1 | its event socket; the command socket is one higher |
/// | `bus.key.file` | string | none | a file with 64 hexadecimal digits, the same for all: the key that the bus is encrypted with |
public struct BusConfig: Sendable {
    /// How to reach each service.
    public let endpoints: [ServiceName: BusEndpoints]
    private let bindHost: String
    private let ports: [ServiceName: Int]
    private let key: BusKey?

    /// - Parameters:
    ///   - portsBase: the first port of the suite.
    ///   - key: what `bus.key.file` holds.
    public init(_ config: ConfigReader, portsBase: Int, key secret: [UInt8]?) {
        let key = secret.map(BusKey.init(secret:))
        let ports = Dictionary(
            uniqueKeysWithValues: ServiceName.publishers.map { service in
                let key = ConfigKey("bus.\(service.rawValue).port")
                return (service, config.int(forKey: key, default: portsBase + service.portOffset + 1))
            })
        self.ports = ports
        self.key = key
        self.bindHost = config.string(forKey: "bus.bind", default: "127.0.0.1")
        self.endpoints = Dictionary(
            uniqueKeysWithValues: ports.map { service, port in
                let host = config.string(forKey: ConfigKey("bus.\(service.rawValue).host"), default: "127.0.0.1")
                return (service, BusEndpoints(host: host, port: port, key: key))
            })
    }

    /// Where `service` itself binds.
    public func own(_ service: ServiceName) -> BusEndpoints {
        guard let port = self.ports[service] else { preconditionFailure("\(service) binds nothing") }
        return BusEndpoints(host: self.bindHost, port: port, key: self.key)
    }
}

extension BusEndpoints {
    init(host: String, port: Int, key: BusKey?) {
        self.init(events: "tcp://\(host):\(port)", commands: "tcp://\(host):\(port + 1)", key: key)
    }

    /// Whether others than this machine's processes could listen and speak there.
    public var isOpen: Bool {
        self.key == nil && !["tcp://127.", "tcp://localhost:", "ipc:"].contains { self.events.hasPrefix($0) }
    }
}

extension ServiceName {
    /// The place of a process's own HTTP API after the suite's first port.
    public var portOffset: Int {
        switch self {
        case .gateway: 10
        case .auth: 20
        case .obsBridge: 30
        case .streamMetrics: 40
        case .radioPlayout: 50
        case .cameraEvents: 60
        case .performanceMonitor: 70
        }
    }
}
