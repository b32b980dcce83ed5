import Foundation
import ServiceKit

/// Which country an address is in: a database of MaxMind's format (maxmind.github.io/MaxMind-DB, version 2), as GeoLite2 Country and
/// others come in.
struct Countries: Sendable {
    private let bytes: [UInt8]
    private let nodeCount: Int
    /// In bits: 24, 28 or 32.
    private let recordSize: Int
    private let isIPv6: Bool
    /// Where the data begins.
    private let dataStart: Int

    private static let marker = Array("\u{AB}\u{CD}\u{EF}MaxMind.com".unicodeScalars.map { UInt8($0.value) })

    /// `nil`: it is not such a database.
    init?(_ bytes: [UInt8]) {
        guard bytes.count > Self.marker.count else { return nil }
        let last = bytes.count - Self.marker.count
        guard
            let found = stride(from: last, through: max(0, last - 131_072), by: -1).first(where: {
                bytes[$0] == Self.marker[0] && bytes[$0..<$0 + Self.marker.count].elementsEqual(Self.marker)
            })
        else { return nil }
        let start = found + Self.marker.count
        var reader = Reader(bytes: bytes, base: start, position: start)
        guard case .map(let metadata)? = reader.value(), case .number(let nodes)? = metadata["node_count"],
            case .number(let size)? = metadata["record_size"], [24, 28, 32].contains(size),
            case .number(let version)? = metadata["ip_version"], nodes > 0
        else { return nil }
        let (tree, overflow) = nodes.multipliedReportingOverflow(by: size / 4)
        guard !overflow, tree + 16 <= found else { return nil }
        self.bytes = bytes
        (self.nodeCount, self.recordSize, self.isIPv6) = (nodes, size, version == 6)
        self.dataStart = tree + 16
    }

    /// ISO 3166 alpha-2; `nil`: it is not known, or no address.
    func country(of address: String) -> String? {
        guard var bits = Self.bytes(of: address) else { return nil }
        if self.isIPv6, bits.count == 4 { bits = [UInt8](repeating: 0, count: 12) + bits }
        guard self.isIPv6 || bits.count == 4 else { return nil }
        var node = 0
        for bit in 0..<bits.count * 8 where node < self.nodeCount {
            node = self.record(node, isRight: bits[bit / 8] >> (7 - bit % 8) & 1 == 1)
        }
        guard node > self.nodeCount else { return nil }
        let position = self.dataStart + node - self.nodeCount - 16
        var reader = Reader(bytes: self.bytes, base: self.dataStart, position: position)
        guard case .map(let place)? = reader.value() else { return nil }
        for name in ["country", "registered_country"] {
            guard case .map(let country)? = place[name], case .text(let code)? = country["iso_code"] else { continue }
            return code
        }
        return nil
    }

    private func record(_ node: Int, isRight: Bool) -> Int {
        let start = node * self.recordSize / 4
        func number(_ range: Range<Int>) -> Int { self.bytes[range].reduce(0) { $0 << 8 | Int($1) } }
        switch self.recordSize {
        case 24: return number(isRight ? start + 3..<start + 6 : start..<start + 3)
        case 28:
            let middle = Int(self.bytes[start + 3])
            return isRight
                ? (middle & 0x0F) << 24 | number(start + 4..<start + 7)
                : (middle >> 4) << 24 | number(start..<start + 3)
        default: return number(isRight ? start + 4..<start + 8 : start..<start + 4)
        }
    }

    private static func bytes(of address: String) -> [UInt8]? {
        var four = in_addr()
        if inet_pton(AF_INET, address, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
        var sixteen = in6_addr()
        guard inet_pton(AF_INET6, address, &sixteen) == 1 else { return nil }
        let bytes = withUnsafeBytes(of: &sixteen) { Array($0) }
        // IPv4 in IPv6 is the same address.
        return bytes.starts(with: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]) ? Array(bytes.suffix(4)) : bytes
    }
}

/// Reads the format's values; `nil`: what is there is none.
private struct Reader {
    indirect enum Value {
        case text(String)
        case number(Int)
        case map([String: Value])
        /// Of a kind that is of no interest here.
        case other
    }

    let bytes: [UInt8]
    /// What pointers count from.
    let base: Int
    var position: Int
    private var depth = 0

    init(bytes: [UInt8], base: Int, position: Int) { (self.bytes, self.base, self.position) = (bytes, base, position) }

    private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, self.position >= 0, self.position + count <= self.bytes.count else { return nil }
        defer { self.position += count }
        return self.bytes[self.position..<self.position + count]
    }

    private mutating func number(_ count: Int) -> Int? {
        guard count <= 8, let bytes = self.take(count) else { return nil }
        return Int(truncatingIfNeeded: bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }

    mutating func value() -> Value? {
        self.depth += 1
        defer { self.depth -= 1 }
        guard self.depth < 32, let control = self.number(1) else { return nil }
        var kind = control >> 5
        if kind == 1 { return self.pointer(control) }
        if kind == 0 {
            guard let extended = self.number(1) else { return nil }
            kind = extended + 7
        }
        guard let size = self.size(control) else { return nil }
        switch kind {
        case 2: return self.take(size).map { .text(String(decoding: $0, as: UTF8.self)) }
        case 5, 6, 9: return self.number(size).map { .number($0) }
        case 7: return self.map(size)
        case 11:
            for _ in 0..<size where self.value() == nil { return nil }
            return .other
        // A boolean's size is its value.
        case 14: return .other
        default: return self.take(size).map { _ in .other }
        }
    }

    private mutating func size(_ control: Int) -> Int? {
        switch control & 0x1F {
        case 29: self.number(1).map { $0 + 29 }
        case 30: self.number(2).map { $0 + 285 }
        case 31: self.number(3).map { $0 + 65_821 }
        case let size: size
        }
    }

    private mutating func pointer(_ control: Int) -> Value? {
        let high = control & 7
        let target: Int? =
            switch control >> 3 & 3 {
            case 0: self.number(1).map { high << 8 | $0 }
            case 1: self.number(2).map { (high << 16 | $0) + 2048 }
            case 2: self.number(3).map { (high << 24 | $0) + 526_336 }
            default: self.number(4)
            }
        guard let target else { return nil }
        let back = self.position
        self.position = self.base + target
        defer { self.position = back }
        return self.value()
    }

    private mutating func map(_ count: Int) -> Value? {
        var members: [String: Value] = [:]
        for _ in 0..<count {
            guard case .text(let name)? = self.value(), let value = self.value() else { return nil }
            members[name] = value
        }
        return .map(members)
    }
}
