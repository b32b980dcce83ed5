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
