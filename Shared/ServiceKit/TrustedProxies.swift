public import Configuration

/// The load balancers whose word about a client's address counts.
///
/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `http.trustedProxies` | list | none | addresses and networks (`10.0.0.0/8`) whose `X-Forwarded-For` is believed |
public struct TrustedProxies: Sendable {
    private let ranges: [AddressRange]

    public init(_ config: ConfigReader) throws {
        self.ranges = try config.stringArray(forKey: "http.trustedProxies", default: []).map { text in
            guard let range = AddressRange(text) else {
                throw ConfigurationError(
                    key: "http.trustedProxies", problem: "holds what is no address and no network: \(text)")
            }
            return range
        }
    }

    /// The client's address: the peer's, or the last one in `X-Forwarded-For` when the peer is trusted.
    public func client(peer: String, forwardedFor: String?) -> String {
        guard let last = forwardedFor?.split(separator: ",").last, self.ranges.contains(where: { $0.contains(peer) })
        else { return peer }
        return String(last.filter { $0 != " " })
    }

    public static func isLoopback(_ address: String) -> Bool {
        if address == "::1" { return true }
        let version4 = address.hasPrefix("::ffff:") ? address.dropFirst(7) : address[...]
        // A name such as 127.0.0.1.example.com begins like an address.
        return version4.hasPrefix("127.")
            && version4.utf8.allSatisfy { $0 == UInt8(ascii: ".") || (48...57).contains($0) }
    }
}
