public import Configuration
public import Peers

/// The load balancers whose `X-Forwarded-For` counts. It is the client's address to limits, the audit log and keys that are bound
/// to addresses; nobody is local by it.
///
/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `http.trustedProxies` | list | none | addresses and networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed |
public struct TrustedProxies: Sendable {
    private let ranges: [AddressRange]

    public init(_ config: ConfigReader) throws {
        self.ranges = try config.stringArray(forKey: "http.trustedProxies", default: []).filter { !$0.isEmpty }.map {
            text in
            guard let range = AddressRange(text) else {
                throw ConfigurationError(
                    key: "http.trustedProxies", problem: "holds what is no address and no network: \(text)")
            }
            return range
        }
    }

    /// Returns the client's address: the peer's, or the last one in `X-Forwarded-For` when the peer is trusted.
    public func client(_ peer: Peer, forwardedFor: String?) -> String {
        let address = peer.address
        guard let last = forwardedFor?.split(separator: ",").last, self.contains(address: address) else {
            return address
        }
        return String(last.filter { $0 != " " })
    }

    /// Returns whether it is a trusted proxy's address.
    public func contains(address: String) -> Bool { self.ranges.contains { $0.contains(address) } }

    /// Whether no proxy is trusted.
    public var isEmpty: Bool { self.ranges.isEmpty }

    /// Returns whether a host, by name or address, is this machine for certain. IPv6 addresses may be in brackets.
    public static func isLoopback(name: String) -> Bool {
        name == "localhost" || Self.isLoopback(name.hasPrefix("[") ? String(name.dropFirst().dropLast()) : name)
    }

    public static func isLoopback(_ address: String) -> Bool { Loopback.contains(address: address) }
}
