import NIOConcurrencyHelpers
public import Peers

/// Facts about an HTTP connection that are known before its first request is answered.
public final class ConnectionFacts: Sendable {
    private struct State {
        var carried: ProxyHeader.Source?
        var isHTTP11 = true
    }

    private let state = NIOLockedValueBox(State())

    /// Those of the connection whose request the current task answers. `nil`: its server does not look at PROXY headers.
    @TaskLocal public static var current: ConnectionFacts?

    /// Whom our own HAProxy carries the connection for. `nil`: it carries it for nobody.
    public internal(set) var carried: ProxyHeader.Source? {
        get { self.state.withLockedValue { $0.carried } }
        set { self.state.withLockedValue { $0.carried = newValue } }
    }

    /// Whether all requests so far are of HTTP/1.1.
    public internal(set) var isHTTP11: Bool {
        get { self.state.withLockedValue { $0.isHTTP11 } }
        set { self.state.withLockedValue { $0.isHTTP11 = newValue } }
    }
}
