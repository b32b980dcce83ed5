public import Events

/// Where a service's two bus sockets are: events (PUB) and commands (ROUTER). ZeroMQ addresses, `tcp://host:port` or `ipc://path`.
public struct BusEndpoints: Sendable, Hashable {
    public var events: String
    public var commands: String
    /// The keys that this process proves itself with; `nil` on an open bus.
    public var keys: BusKeys?
    /// The role that the service at the other end has to prove.
    public var role: BusRole

    public init(events: String, commands: String, keys: BusKeys? = nil, role: BusRole = .suite) {
        self.events = events
        self.commands = commands
        self.keys = keys
        self.role = role
    }
}
