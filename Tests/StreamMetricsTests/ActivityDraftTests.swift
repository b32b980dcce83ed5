import Events
import ServiceKit
import Testing

@testable import StreamMetrics

@Suite struct ActivityDraftTests {
    @Test(arguments: ActivityKind.allCases)
    func `every kind of the contract is taken`(kind: ActivityKind) throws {
        let draft = try ActivityDraft([
            "type": .string(kind.rawValue), "provider": "StreamElements", "data": ["username": "bob", "amount": 5],
        ])
        #expect(draft.kind == kind)
        #expect(draft.provider == .streamElements)
        #expect(draft.data == ["username": "bob", "amount": 5])
    }

    @Test(arguments: [
        (#"{"provider":"twitch","data":{"username":"b"}}"#, "type"),
        (#"{"type":"Tip","provider":"twitch","data":{"username":"b"}}"#, "type"),
        (#"{"type":"tip","data":{"username":"b"}}"#, "provider"),
        (#"{"type":"tip","provider":"Twitch","data":{"username":"b"}}"#, "provider"),
        (#"{"type":"tip","provider":"twitch"}"#, "data"), (#"{"type":"tip","provider":"twitch","data":[]}"#, "data"),
        (#"{"type":"tip","provider":"twitch","data":{}}"#, "data.username"),
        (#"{"type":"tip","provider":"twitch","data":{"username":""}}"#, "data.username"),
        (#"{"type":"tip","provider":"twitch","data":{"username":"b","avatar":1}}"#, "data.avatar"),
    ])
    func `a bad member is refused by its name`(body: String, field: String) throws {
        let body = try #require(JSON(parsing: Array(body.utf8))?.object)
        let failure = #expect(throws: APIFailure.self) { try ActivityDraft(body) }
        #expect(failure?.details["field"] == field)
    }

    @Test func `data that would not fit into one frame is refused`() {
        let data: JSON = ["username": "b", "text": .string(String(repeating: "a", count: 32_768))]
        #expect(throws: APIFailure.self) { try ActivityDraft(["type": "tip", "provider": "kick", "data": data]) }
    }

    @Test func `an id is 24 lower-case hexadecimal digits that begin with the second`() {
        let id = HexID.new(at: Timestamp(milliseconds: 0x1234_5678 * 1000))
        #expect(HexID.isID(id))
        #expect(id.hasPrefix("12345678"))
        #expect(!HexID.isID(id.dropLast()))
        #expect(!HexID.isID(String(repeating: "g", count: 24)))
    }
}
