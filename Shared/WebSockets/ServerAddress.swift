/// Where a WebSocket server is: what `ws://host:port/path` says (RFC 6455 §3).
public struct ServerAddress: Sendable, Hashable, CustomStringConvertible {
    /// A name, or an IP address; version 6 without brackets.
    public var host: String
    public var port: Int
    /// Begins with a slash; may have a query.
    public var path: String
    /// `wss`: the certificate must be one that the system trusts, for that name.
    public var isSecure: Bool

    public init(host: String, port: Int, path: String = "/", isSecure: Bool = false) {
        self.host = host
        self.port = port
        self.path = path
        self.isSecure = isSecure
    }

    /// The value of the `Host` header.
    var hostHeader: String {
        let name = self.host.contains(":") ? "[\(self.host)]" : self.host
        return self.port == (self.isSecure ? 443 : 80) ? name : "\(name):\(self.port)"
    }

    public var description: String {
        let name = self.host.contains(":") ? "[\(self.host)]" : self.host
        return "\(self.isSecure ? "wss" : "ws")://\(name):\(self.port)\(self.path)"
    }
}
