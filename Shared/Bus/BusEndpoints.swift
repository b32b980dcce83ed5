/// Where a service's two bus sockets are: events (PUB) and commands (ROUTER). ZeroMQ addresses, `tcp://host:port` or `ipc://path`.
public struct BusEndpoints: Sendable, Hashable {
    public var events: String
    public var commands: String
    /// What both sockets are encrypted with; `nil`: they are not.
    public var key: BusKey?

    public init(events: String, commands: String, key: BusKey? = nil) {
        self.events = events
        self.commands = commands
        self.key = key
    }
}
