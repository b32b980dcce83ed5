import Glibc

/// One address or a network of them in CIDR form (RFC 4632 §3.1, RFC 4291 §2.3): `192.0.2.0/24`, `2001:db8::/32`, `192.0.2.1`.
public struct AddressRange: Sendable, Hashable {
    /// 16 bytes; IPv4 as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2).
    private let bytes: [UInt8]
    private let prefixLength: Int

    /// `nil`: not an address or network, or with bits set behind its prefix.
    public init?(_ text: String) {
        let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = halves.first, let (bytes, isFour) = Self.parse(String(first)) else { return nil }
        let width = isFour ? 32 : 128
        var length = width
        if halves.count == 2 {
            let digits = halves[1]
            guard (1...3).contains(digits.count), digits.utf8.allSatisfy({ (48...57).contains($0) }),
                let value = Int(digits), value <= width
            else { return nil }
            length = value
        }
        self.bytes = bytes
        self.prefixLength = length + 128 - width
        guard Self.mask(bytes, self.prefixLength) == bytes else { return nil }
    }

    /// Whether the address lies within; text that is no address does not.
    public func contains(_ address: String) -> Bool {
        guard let (bytes, _) = Self.parse(address) else { return false }
        return Self.mask(bytes, self.prefixLength) == self.bytes
    }

    private static func mask(_ bytes: [UInt8], _ length: Int) -> [UInt8] {
        bytes.enumerated().map { index, byte in
            let bits = min(8, max(0, length - index * 8))
            return bits == 0 ? 0 : byte & (0xFF << (8 - bits))
        }
    }

    /// Returns an address's 16 bytes; IPv4 as IPv4-mapped IPv6.
    static func parse(_ text: String) -> (bytes: [UInt8], isFour: Bool)? {
        // C would stop reading there.
        guard !text.utf8.contains(0) else { return nil }
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            let bytes = withUnsafeBytes(of: &four) { Array($0) }
            return ([UInt8](repeating: 0, count: 10) + [0xFF, 0xFF] + bytes, true)
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        return (withUnsafeBytes(of: &six) { Array($0) }, false)
    }
}
