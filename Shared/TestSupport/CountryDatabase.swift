/// A database of MaxMind's format that knows one network, made by hand.
public enum CountryDatabase {
    /// What it says of Germany.
    public static let germany = map([("country", map([("iso_code", text("DE")), ("geoname_id", number(1))]))])

    /// One network, 192.0.0.0/8, whose first bits lead through a node each.
    /// - Parameter place: what is said of it.
    public static func bytes(_ place: [UInt8], recordSize: Int, version: Int) -> [UInt8] {
        let network = (version == 6 ? [UInt8](repeating: 0, count: 12) : []) + [192]
        let count = network.count * 8
        var tree: [UInt8] = []
        for bit in 0..<count {
            // Past the last node, and past the sixteen bytes between tree and data.
            let next = bit + 1 == count ? count + 16 : bit + 1
            let isRight = network[bit / 8] >> (7 - bit % 8) & 1 == 1
            let (left, right) = isRight ? (count, next) : (next, count)
            func bytes(_ value: Int, _ count: Int) -> [UInt8] {
                (0..<count).reversed().map { UInt8(value >> (8 * $0) & 0xFF) }
            }
            switch recordSize {
            case 24: tree += bytes(left, 3) + bytes(right, 3)
            case 28: tree += bytes(left, 3) + [UInt8((left >> 24) << 4 | (right >> 24))] + bytes(right, 3)
            default: tree += bytes(left, 4) + bytes(right, 4)
            }
        }
        let marker: [UInt8] = [0xAB, 0xCD, 0xEF] + Array("MaxMind.com".utf8)
        let metadata = Self.map([
            ("node_count", Self.number(count)), ("record_size", Self.number(recordSize)),
            ("ip_version", Self.number(version)),
        ])
        return tree + [UInt8](repeating: 0, count: 16) + place + marker + metadata
    }

    public static func text(_ text: String) -> [UInt8] { [UInt8(0x40 | text.utf8.count)] + Array(text.utf8) }
    public static func map(_ members: [(String, [UInt8])]) -> [UInt8] {
        [UInt8(0xE0 | members.count)] + members.flatMap { Self.text($0.0) + $0.1 }
    }
    private static func number(_ number: Int) -> [UInt8] { [0xC2, UInt8(number >> 8), UInt8(number & 0xFF)] }
}
