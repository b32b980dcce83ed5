/// Where a service's two bus sockets are: events (PUB) and commands (ROUTER). ZeroMQ addresses, `tcp://host:port` or `ipc://path`.
public struct BusEndpoints: Sendable, Hashable {
    public var events: String
    public var commands: String

    public init(events: String, commands: String) {
        self.events = events
        self.commands = commands
    }
}
