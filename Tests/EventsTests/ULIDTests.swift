import Events
import Testing

@Suite struct ULIDTests {
    @Test(
        arguments: [
            (0, 0, "00000000000000000000000000"), (.max, .max, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
            (0, 1, "00000000000000000000000001"),
            (1, 0, "0000000000000G000000000000"), (0x0156_3DF3_6481_0000, 0, "01ARYZ6S410000000000000000"),
        ] as [(UInt64, UInt64, String)])
    func `its text is read back`(high: UInt64, low: UInt64, text: String) {
        let id = ULID(high: high, low: low)
        #expect(id.text == text)
        #expect(ULID(text: text) == id)
        #expect(ULID(text: text.lowercased()) == id)
    }

    @Test func `new ones differ and carry their moment`() throws {
        let ids = (0..<1000).map { _ in ULID(at: Timestamp(milliseconds: 1_469_922_850_259)) }
        #expect(Set(ids).count == 1000)
        for id in ids {
            #expect(id.text.hasPrefix("01ARZ3NDEK") || id.high >> 16 == 1_469_922_850_259)
            #expect(ULID(text: id.text) == id)
        }
    }

    @Test func `they sort by time, and their texts alike`() {
        let ids = (0..<100).map { ULID(at: Timestamp(milliseconds: 1_700_000_000_000 + $0)) }
        #expect(ids.shuffled().sorted() == ids)
        #expect(ids.map(\.text).shuffled().sorted() == ids.map(\.text))
    }

    @Test(arguments: [
        "", "0", "0000000000000000000000000", "000000000000000000000000000", "80000000000000000000000000",
        "0000000000000000000000000U", "0000000000000000000000000I", "0000000000000000000000000-",
        "0000000000000000000000000\u{0}", "000000000000000000000000é", "ÿÿÿÿÿÿÿÿÿÿÿÿÿ", "0000000000000000000000000[",
    ])
    func `what is no ULID is not read`(text: String) {
        #expect(ULID(text: text) == nil)
    }

    @Test func `as JSON it is its text`() throws {
        let id = ULID(high: 1, low: 2)
        #expect(JSON.encode(id) == Array("\"\(id.text)\"".utf8))
        #expect(try JSON.decode(ULID.self, from: JSON.encode(id)) == id)
        #expect(throws: DecodingError.self) { try JSON.decode(ULID.self, from: Array("\"x\"".utf8)) }
    }
}
