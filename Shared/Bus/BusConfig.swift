public import Configuration
public import Events
public import Logging

/// Where everybody's bus sockets are, and what a process proves itself with there.
///
/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `bus.bind` | string | `127.0.0.1` | the address that this process's own bus sockets bind; `*` for all |
/// | `bus.<service>.host` | string | `127.0.0.1` | where to find a service's bus sockets |
/// | `bus.<service>.port` | int | its default HTTP port + 1 | its event socket; the command socket is one higher |
/// | `bus.key.file` | string | required | a file with 64 hexadecimal digits: the secret half of the process's own key pair |
/// | `bus.peers.file` | string | required | a file with the public halves of all roles, see `BusPeers` |
/// | `bus.open` | bool | false | whether the bus is neither encrypted nor authenticated; keys are not used then |
public struct BusConfig: Sendable {
    /// How to reach each service.
    public let endpoints: [ServiceName: BusEndpoints]
    /// The keys that the process's own sockets demand; `nil` if the bus is open to everyone who reaches it.
    public let keys: BusKeys?
    private let bindHost: String
    private let ports: [ServiceName: Int]

    /// - Parameters:
    ///   - service: whose configuration it is; it has to have its own role's key.
    ///   - portsBase: the first port of the suite.
    ///   - secret: what `bus.key.file` holds.
    ///   - peers: what `bus.peers.file` holds.
    /// - Throws: `BusError.setting` without keys, unless `bus.open` is set.
    public init(
        _ config: ConfigReader, for service: ServiceName, portsBase: Int, secret: [UInt8]?, peers: String?
    ) throws(BusError) {
        let isOpen = config.bool(forKey: "bus.open", default: false)
        let keys = isOpen ? nil : try Self.keys(for: service, secret: secret, peers: peers)
        let ports = Dictionary(
            uniqueKeysWithValues: ServiceName.publishers.map { service in
                let key = ConfigKey("bus.\(service.rawValue).port")
                return (service, config.int(forKey: key, default: portsBase + service.portOffset + 1))
            })
        self.ports = ports
        self.keys = keys
        self.bindHost = config.string(forKey: "bus.bind", default: "127.0.0.1")
        self.endpoints = Dictionary(
            uniqueKeysWithValues: ports.map { service, port in
                let host = config.string(forKey: ConfigKey("bus.\(service.rawValue).host"), default: "127.0.0.1")
                return (service, BusEndpoints(host: host, port: port, keys: keys, role: service.busRole))
            })
    }

    /// Where `service` itself binds.
    public func own(_ service: ServiceName) -> BusEndpoints {
        guard let port = self.ports[service] else { preconditionFailure("\(service) binds nothing") }
        return BusEndpoints(host: self.bindHost, port: port, keys: self.keys, role: service.busRole)
    }

    public func warnIfOpen(_ logger: Logger) {
        guard self.keys == nil else { return }
        logger.warning(
            "The bus is open: everyone who reaches its ports reads all events and sends commands as any process",
            metadata: ["setting": "bus.open", "bind": "\(self.bindHost)"])
    }

    private static func keys(
        for service: ServiceName, secret: [UInt8]?, peers: String?
    ) throws(BusError) -> BusKeys {
        guard let secret else {
            throw .setting(
                key: "bus.key.file",
                problem:
                    "must name a file with the \(service.busRole.rawValue) key of the bus. `./crosspoint up` and the containers' "
                    + "make-secrets make it. With bus.open=true a process starts without one; then everyone who reaches its ports reads "
                    + "all events and sends commands as any process")
        }
        guard let peers = peers.flatMap(BusPeers.init(text:)) else {
            throw .setting(
                key: "bus.peers.file",
                problem:
                    "must name a file of three lines: suite, auth and gateway, each with the 64 hexadecimal digits of its public key"
            )
        }
        guard let keys = BusKeys(BusKey(secret: secret), peers: peers) else {
            throw .setting(key: "bus.key.file", problem: "holds a key whose public half is not in bus.peers.file")
        }
        guard keys.role == service.busRole else {
            throw .setting(
                key: "bus.key.file",
                problem:
                    "holds the \(keys.role.rawValue) key; \(service.rawValue) needs the \(service.busRole.rawValue) key"
            )
        }
        return keys
    }
}

extension BusEndpoints {
    init(host: String, port: Int, keys: BusKeys?, role: BusRole) {
        self.init(events: "tcp://\(host):\(port)", commands: "tcp://\(host):\(port + 1)", keys: keys, role: role)
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
