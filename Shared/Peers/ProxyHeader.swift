/// The header of a connection that a load balancer carries: who is at its other end (PROXY protocol, version 2).
///
/// A header proves nothing by itself, since anybody can send one: see `uniqueID`.
public struct ProxyHeader: Sendable, Equatable {
    public enum Source: Sendable, Equatable {
        /// The balancer itself, which checks our health: the client is the TCP peer.
        case balancer
        /// A client with that address, as text.
        case address(String)
        /// A client that has no address, or one that the balancer does not tell.
        case unknown
    }

    public let source: Source
    /// The value of the unique identifier (type 0x05), in which our own HAProxy sends a key. HAProxy sends none when it checks our
    /// health.
    public let uniqueID: [UInt8]?
    /// The length of the whole header in bytes.
    public let length: Int

    public enum Progress: Sendable, Equatable {
        /// The bytes are not the beginning of a header.
        case absent
        /// The header is at least `length` bytes long.
        case incomplete(length: Int)
        /// The bytes begin like a header and are none.
        case malformed
        case complete(ProxyHeader)
    }

    /// The length of the longest header that is read: an address and some 300 bytes more.
    public static let lengthMax = 536

    /// The bytes up to and with the length of what follows.
    public static let prefixLength = 16

    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    /// Returns what the first bytes of a connection are. Reads no more than `lengthMax` of them.
    public static func parse(_ bytes: some Collection<UInt8>) -> Progress {
        let bytes = Array(bytes.prefix(Self.lengthMax))
        guard bytes.starts(with: Self.signature.prefix(bytes.count)) else { return .absent }
        guard bytes.count >= Self.prefixLength else { return .incomplete(length: Self.prefixLength) }
        let length = Self.prefixLength + Self.number(bytes[14...15])
        guard bytes[12] >> 4 == 2, length <= Self.lengthMax else { return .malformed }
        guard bytes.count >= length else { return .incomplete(length: length) }
        let rest = bytes[Self.prefixLength..<length]
        switch bytes[12] & 0x0F {
        // What a balancer sends along with it means nothing.
        case 0: return .complete(ProxyHeader(source: .balancer, uniqueID: nil, length: length))
        case 1:
            guard let (source, extensions) = Self.source(family: bytes[13], rest),
                case .some(let uniqueID) = Self.uniqueID(extensions)
            else { return .malformed }
            return .complete(ProxyHeader(source: source, uniqueID: uniqueID, length: length))
        default: return .malformed
        }
    }

    /// Returns the client, and what follows its address. `nil`: the addresses do not fit, or are not of a stream.
    private static func source(family: UInt8, _ bytes: ArraySlice<UInt8>) -> (Source, ArraySlice<UInt8>)? {
        let length = [0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216][family]
        guard let length, bytes.count >= length else { return nil }
        let rest = bytes.dropFirst(length)
        return switch family {
        case 0x11: (.address(Self.version4(bytes.prefix(4))), rest)
        case 0x21: (.address(Self.version6(bytes.prefix(16))), rest)
        default: (.unknown, rest)
        }
    }

    /// Returns the value of the unique identifier, `.some(nil)` if there is none. `nil`: the extensions are malformed.
    private static func uniqueID(_ extensions: ArraySlice<UInt8>) -> [UInt8]?? {
        var rest = extensions
        var found: [UInt8]?
        while !rest.isEmpty {
            guard rest.count >= 3 else { return nil }
            let type = rest[rest.startIndex]
            let length = Self.number(rest.dropFirst().prefix(2))
            rest = rest.dropFirst(3)
            guard rest.count >= length else { return nil }
            if type == 0x05 {
                guard found == nil else { return nil }
                found = Array(rest.prefix(length))
            }
            rest = rest.dropFirst(length)
        }
        return .some(found)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

    private static func version4(_ bytes: ArraySlice<UInt8>) -> String {
        bytes.map { "\($0)" }.joined(separator: ".")
    }

    /// As RFC 5952 writes it; one that stands for an IPv4 address as that.
    private static func version6(_ bytes: ArraySlice<UInt8>) -> String {
        let isVersion4 = bytes.prefix(10).allSatisfy { $0 == 0 } && bytes.dropFirst(10).prefix(2) == [0xFF, 0xFF]
        if isVersion4 { return Self.version4(bytes.dropFirst(12)) }
        let groups = (0..<8).map { Self.number(bytes.dropFirst(2 * $0).prefix(2)) }
        // The longest row of two or more zeros becomes `::`.
        var (start, count) = (0, 0)
        for first in groups.indices {
            let zeros = groups[first...].prefix { $0 == 0 }.count
            if zeros > count, zeros > 1 { (start, count) = (first, zeros) }
        }
        func text(_ groups: ArraySlice<Int>) -> String { groups.map { String($0, radix: 16) }.joined(separator: ":") }
        guard count > 0 else { return text(groups[...]) }
        return "\(text(groups[..<start]))::\(text(groups[(start + count)...]))"
    }
}
