/// The other end of a connection, by facts only: no text that anybody can write counts.
public struct Peer: Sendable, Equatable {
    /// The address of the TCP connection's other end.
    public let connection: String
    /// The client that our own HAProxy carries the connection for. `nil`: it carries none.
    public let carried: ProxyHeader.Source?

    public init(connection: String, carried: ProxyHeader.Source? = nil) {
        self.connection = connection
        self.carried = carried
    }

    /// The client's address, or that of the last machine before us that does not speak the PROXY protocol with our key.
    public var address: String {
        if case .address(let address) = self.carried { address } else { self.connection }
    }

    /// Whether the connection, and the one before HAProxy if it carries this one, come from this machine.
    public var isLoopback: Bool {
        guard Loopback.contains(address: self.connection) else { return false }
        return switch self.carried {
        case nil, .balancer: true
        case .address(let address): Loopback.contains(address: address)
        case .unknown: false
        }
    }
}
