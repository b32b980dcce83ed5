/// The network that one client has to itself, for limits that are counted by address: an IPv4 address, or the /64 of an IPv6 address
/// (RFC 6177), of which a client may use any.
public struct ClientNetwork: Hashable, Sendable {
    private let high: UInt64
    /// Zero but for IPv4.
    private let low: UInt64

    /// Text that is no address belongs to one network with all other such text.
    public init(_ address: String) {
        // A link-local address may name its interface (RFC 4007 §11).
        let bytes = AddressRange.parse(String(address.prefix { $0 != "%" }))
        guard let (bytes, isFour) = bytes else {
            (self.high, self.low) = (0, 0)
            return
        }
        func integer(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        let isMapped = isFour || bytes.starts(with: [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF])
        self.high = integer(bytes[..<8])
        self.low = isMapped ? integer(bytes[8...]) : 0
    }
}
