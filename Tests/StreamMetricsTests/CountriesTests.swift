import Foundation
import Testing

@testable import StreamMetrics

/// Databases of MaxMind's format, made here by hand.
@Suite struct CountriesTests {
    private static func text(_ text: String) -> [UInt8] { [UInt8(0x40 | text.utf8.count)] + Array(text.utf8) }
    private static func map(_ members: [(String, [UInt8])]) -> [UInt8] {
        [UInt8(0xE0 | members.count)] + members.flatMap { Self.text($0.0) + $0.1 }
    }
    private static func number(_ number: Int) -> [UInt8] { [0xC2, UInt8(number >> 8), UInt8(number & 0xFF)] }

    /// One network, 192.0.0.0/8, whose first bits lead through a node each.
    /// - Parameter place: what is said of it.
    private static func database(_ place: [UInt8], recordSize: Int, version: Int) -> [UInt8] {
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

    private static let germany = map([("country", map([("iso_code", text("DE")), ("geoname_id", number(1))]))])

    @Test(arguments: [24, 28, 32], [4, 6])
    func `an address is found in every size of record`(recordSize: Int, version: Int) throws {
        let countries = try #require(
            Countries(Self.database(Self.germany, recordSize: recordSize, version: version)))
        #expect(countries.country(of: "192.0.2.1") == "DE")
        #expect(countries.country(of: "::ffff:192.1.2.3") == "DE")
        #expect(countries.country(of: "193.0.2.1") == nil)
        #expect(countries.country(of: "2001:db8::1") == nil)
        #expect(countries.country(of: "nowhere") == nil)
    }

    @Test func `pointers are followed, and where it is registered will do`() throws {
        // Its first value lies behind the place, which begins with a map of one.
        let place: [UInt8] = [0xE1] + Self.text("registered_country") + [0x20, 22]
        let target = Self.map([("iso_code", Self.text("FR"))])
        #expect(place.count == 22)
        let countries = try #require(Countries(Self.database(place + target, recordSize: 24, version: 4)))
        #expect(countries.country(of: "192.0.2.1") == "FR")
    }

    @Test func `rubbish is no database, and a database of rubbish has no countries`() throws {
        #expect(Countries([]) == nil)
        #expect(Countries(Array("not a database".utf8)) == nil)
        let good = Self.database(Self.germany, recordSize: 24, version: 4)
        for length in 0..<good.count { _ = Countries(Array(good.prefix(length)))?.country(of: "192.0.2.1") }
        for place in 0..<good.count {
            var bad = good
            bad[place] ^= 0xFF
            _ = Countries(bad)?.country(of: "192.0.2.1")
        }
        // A pointer to itself.
        #expect(
            Countries(Self.database([0x20, 0], recordSize: 24, version: 4))?.country(of: "192.0.2.1") == nil)
    }
}
