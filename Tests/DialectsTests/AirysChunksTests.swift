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

    @Test func `pieces of more than 16 MiB are given up, and so are those of which others do not come`() {
        self.logIn()
        let megabyte = String(repeating: "x", count: 1 << 20)
        for seq in 0..<16 { #expect(self.chunk(Int64(seq), of: 20, megabyte).frames.isEmpty) }
        #expect(self.error(self.chunk(16, of: 20, "x")) == "INVALID_MESSAGE")
        // All of it was let go.
        #expect(self.chunk(0, of: 2, megabyte) == [.wake(at: .noon + .seconds(30))])
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
