import Events
import ServiceKit
import Testing

@testable import RadioPlayout

@Suite struct TrackStartTests {
    @Test func `the payload is kept byte for byte`() throws {
        let sent = Array(#" {"station_id" : "a", "title":"Ü\u0000", "duration":200.50,"x":[1e3]} "#.utf8)
        let start = try TrackStart(sent)
        #expect(start.bytes == sent)
        #expect(start.station == "a")
        #expect(Event(nowPlaying: start.bytes, tenant: "t", station: start.station).data == sent)
    }

    static let refused: [(String, [UInt8])] = [
        ("invalid_json", []),
        ("invalid_json", Array("[]".utf8)),
        ("invalid_json", Array("null".utf8)),
        ("invalid_json", Array(#"{"station_id":"a""#.utf8)),
        ("invalid_json", Array(#"{"station_id":"a"} {}"#.utf8)),
        ("invalid_json", [0xEF, 0xBB, 0xBF] + Array(#"{"station_id":"a"}"#.utf8)),
        ("invalid_json", #"{"station_id":"a"}"#.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }),
        ("invalid_json", Array(#"{"station_id":"a","title":""#.utf8) + [0xFF] + Array(#""}"#.utf8)),
        ("station_id_required", Array("{}".utf8)),
        ("station_id_required", Array(#"{"station_id":""}"#.utf8)),
        ("station_id_required", Array(#"{"station_id":7}"#.utf8)),
        ("station_id_required", Array(#"{"station_id":null}"#.utf8)),
    ]

    @Test(arguments: Self.refused) func `what cannot be passed on is refused`(code: String, body: [UInt8]) {
        let failure = #expect(throws: APIFailure.self) { try TrackStart(body) }
        #expect(failure?.code == code)
    }
}
