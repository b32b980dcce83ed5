import Foundation
import TestSupport
import Testing

@testable import StreamMetrics

@Suite struct CountriesTests {
    @Test(arguments: [24, 28, 32], [4, 6])
    func `an address is found in every size of record`(recordSize: Int, version: Int) throws {
        let countries = try #require(
            Countries(CountryDatabase.bytes(CountryDatabase.germany, recordSize: recordSize, version: version)))
        #expect(countries.country(of: "192.0.2.1") == "DE")
        #expect(countries.country(of: "::ffff:192.1.2.3") == "DE")
        #expect(countries.country(of: "193.0.2.1") == nil)
        #expect(countries.country(of: "2001:db8::1") == nil)
        #expect(countries.country(of: "nowhere") == nil)
    }

    @Test func `pointers are followed, and where it is registered will do`() throws {
        // Its first value lies behind the place, which begins with a map of one.
        let place: [UInt8] = [0xE1] + CountryDatabase.text("registered_country") + [0x20, 22]
        let target = CountryDatabase.map([("iso_code", CountryDatabase.text("FR"))])
        #expect(place.count == 22)
        let countries = try #require(Countries(CountryDatabase.bytes(place + target, recordSize: 24, version: 4)))
        #expect(countries.country(of: "192.0.2.1") == "FR")
    }

    @Test func `rubbish is no database, and a database of rubbish has no countries`() throws {
        #expect(Countries([]) == nil)
        #expect(Countries(Array("not a database".utf8)) == nil)
        let good = CountryDatabase.bytes(CountryDatabase.germany, recordSize: 24, version: 4)
        for length in 0..<good.count { _ = Countries(Array(good.prefix(length)))?.country(of: "192.0.2.1") }
        for place in 0..<good.count {
            var bad = good
            bad[place] ^= 0xFF
            _ = Countries(bad)?.country(of: "192.0.2.1")
        }
        // A pointer to itself.
        #expect(
            Countries(CountryDatabase.bytes([0x20, 0], recordSize: 24, version: 4))?.country(of: "192.0.2.1") == nil)
    }
}
