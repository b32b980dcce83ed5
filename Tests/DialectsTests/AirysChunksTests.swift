import Events
import Foundation
import Testing

@testable import Dialects

/// Messages in pieces (docs/dialects/airys.md §8).
@Suite struct AirysChunksTests {
    private let session = Conversation(Airys())

    private func logIn() {
        _ = self.session.opened()
        _ = self.session.receive(["type": "auth", "token": "t"])
        _ = self.session.verified(.success(.user()))
        _ = self.session.answered(ActiveCameras.Answer(statuses: []))
    }

    private func chunk(
        _ seq: Int64, of total: Int64, _ text: String, id: String = "m1", at now: Timestamp = .noon
    ) -> [SessionAction] {
        let data = JSON.string(Data(text.utf8).base64EncodedString())
        return self.session.receive(
            ["type": "chunk", "id": .string(id), "seq": .integer(seq), "total": .integer(total), "data": data], at: now)
    }

    private func error(_ actions: [SessionAction]) -> JSON? { actions.frames.first?["data"]?["code"] }

    @Test func `a message in pieces is carried out when the last has come, whatever their order`() {
        self.logIn()
        #expect(self.chunk(2, of: 3, #""}"#).frames.isEmpty)
        #expect(self.chunk(0, of: 3, #"{"type":"pi"#).frames.isEmpty)
        #expect(self.chunk(1, of: 3, #"ng","request_id":"r"#).frames.first?["type"] == "pong")
        // Its id is free again.
        #expect(self.chunk(0, of: 1, #"{"type":"ping"}"#).frames.first?["type"] == "pong")
    }

    /// A message of that length.
    private func padded(_ message: String, to length: Int) -> String {
        let rest = #","pad":""}"#
        let pad = String(repeating: "x", count: length - message.utf8.count + 1 - rest.utf8.count)
        return message.dropLast() + #","pad":""# + pad + #""}"#
    }

    @Test func `a message over 64 KiB is a chunk, or too big`() {
        self.logIn()
        #expect(self.session.isLoggedIn)
        let ping = #"{"type":"ping"}"#
        #expect(self.session.receive(self.padded(ping, to: 65_536)).frames.first?["type"] == "pong")
        let chunk = #"{"type":"chunk","id":"m","seq":0,"total":2,"data":"e30="}"#
        #expect(self.session.receive(self.padded(chunk, to: 1_000_000)).isEmpty == false)
        #expect(self.session.receive(self.padded(ping, to: 65_537)).closing == Closing(1009, "message too big"))
        #expect(!self.session.isLoggedIn)
    }

    @Test(arguments: [
        #"{"type":"chunk","id":"m","seq":0,"total":1,"data":["#, #"{"type":"chunk","x":{"a":"#, "[", "",
    ])
    func `a long message with many values is too big, whatever it says it is`(beginning: String) {
        self.logIn()
        let text = beginning + String(repeating: "[],", count: 300_000)
        #expect(self.session.receive(text).closing == Closing(1009, "message too big"))
    }

    @Test func `a message in pieces with very many values is an error`() {
        self.logIn()
        let text = #"{"type":"ping","x":["# + String(repeating: "0,", count: 5000) + "0]}"
        #expect(self.error(self.chunk(0, of: 1, text)) == "INVALID_MESSAGE")
        let fewer = #"{"type":"ping","x":["# + String(repeating: "0,", count: 4000) + "0]}"
        #expect(self.chunk(0, of: 1, fewer).frames.first?["type"] == "pong")
    }

    @Test(arguments: [
        ("", 1), ("{}", 2), (#"{"a":1,"b":[1,2]}"#, 5), (#"{"a":"[,{\",{"}"#, 2), (#"{"a\\":",","b":"\\"}"#, 3),
    ])
    func `values are counted outside of strings`(text: String, count: Int) {
        #expect(AirysCommand.countValues(in: Array(text.utf8), upTo: 100) == count)
        #expect(AirysCommand.countValues(in: Array(text.utf8), upTo: 1) == min(count, 2))
    }

    @Test func `two messages come side by side`() {
        self.logIn()
        _ = self.chunk(0, of: 2, #"{"type":"#, id: "a")
        _ = self.chunk(0, of: 2, #"{"type":"#, id: "b")
        #expect(self.chunk(1, of: 2, #""ping"}"#, id: "b").frames.first?["type"] == "pong")
        #expect(self.chunk(1, of: 2, #""heartbeat"}"#, id: "a").frames.first?["type"] == "heartbeat")
    }

    @Test(
        arguments: [
            ["type": "chunk", "seq": 0, "total": 1, "data": ""],
            ["type": "chunk", "id": "", "seq": 0, "total": 1, "data": ""],
            ["type": "chunk", "id": "m", "seq": 1, "total": 1, "data": ""],
            ["type": "chunk", "id": "m", "seq": -1, "total": 1, "data": ""],
            ["type": "chunk", "id": "m", "seq": 0, "total": 0, "data": ""],
            ["type": "chunk", "id": "m", "seq": 0, "total": 5000, "data": ""],
            ["type": "chunk", "id": "m", "seq": 0, "total": 1, "data": "%"],
            ["type": "chunk", "id": "m", "seq": 0, "total": 1],
            ["type": "chunk", "id": "m", "seq": 0.5, "total": 1, "data": ""],
        ] as [JSON])
    func `what is no chunk is an error`(message: JSON) {
        self.logIn()
        #expect(self.error(self.session.receive(message)) == "INVALID_MESSAGE")
    }

    @Test func `a piece that does not go with the others ends the message`() {
        self.logIn()
        _ = self.chunk(0, of: 2, "{")
        #expect(self.error(self.chunk(0, of: 2, "{")) == "INVALID_MESSAGE")
        _ = self.chunk(0, of: 2, "{")
        #expect(self.error(self.chunk(1, of: 3, "}")) == "INVALID_MESSAGE")
        #expect(
            self.error(self.chunk(0, of: 1, #"{"type":"chunk","id":"n","seq":0,"total":1,"data":""}"#))
                == "INVALID_MESSAGE")
        #expect(self.error(self.chunk(0, of: 1, "not JSON")) == "INVALID_MESSAGE")
    }

    @Test func `pieces of more than 4 MiB together are given up, and all of them are let go`() throws {
        var chunks = AirysChunks()
        let megabyte = [UInt8](repeating: 0, count: 1 << 20)
        func take(_ seq: Int, _ bytes: [UInt8], id: String = "m1") throws -> [UInt8]? {
            try chunks.take(AirysChunks.Chunk(id: id, seq: seq, total: 20, bytes: bytes), nil, at: .noon)
        }
        for seq in 0..<4 { #expect(try take(seq, megabyte, id: seq.isMultiple(of: 2) ? "m1" : "m2") == nil) }
        #expect(throws: AirysProblem.self) { try take(4, [0]) }
        // Two of them were that message's.
        for seq in 0..<2 { #expect(try take(seq, megabyte) == nil) }
        #expect(throws: AirysProblem.self) { try take(4, [0], id: "m3") }
    }

    @Test func `a message of which pieces do not come is given up after 30 seconds, and its client is told`() {
        self.logIn()
        #expect(self.chunk(0, of: 2, "x") == [.wake(at: .noon + .seconds(30))])
        let late = self.session.wake(at: .noon + .seconds(30))
        #expect(self.error(late) == "INVALID_MESSAGE")
        #expect(late.frames.first?["data"]?["details"] == ["id": "m1"])
        #expect(self.chunk(1, of: 2, "x", at: .noon + .seconds(31)).frames.isEmpty)
    }

    @Test func `before the login a chunk is refused like anything else`() {
        _ = self.session.opened()
        #expect(self.error(self.chunk(0, of: 1, #"{"type":"auth","token":"t"}"#)) == "NOT_AUTHENTICATED")
    }
}
