import Events
import Testing

@testable import RadioPlayout

@Suite struct PlayTests {
    private static let received = Timestamp(milliseconds: 1_000_000)

    private func play(_ payload: String) throws -> Play {
        Play(
            id: "p", stationID: "s", receivedAt: Self.received,
            payload: try JSON.decode(NowPlaying.self, from: Array(payload.utf8)))
    }

    @Test func `a track is over when its length has passed since it was announced`() throws {
        let play = try self.play(#"{"duration":10.5,"starts_at":"1970-01-01T00:00:00Z"}"#)
        #expect(play.answer(at: Self.received + .milliseconds(10_499))["status"] == "playing")
        #expect(play.answer(at: Self.received + .milliseconds(10_500)) == ["status": "idle"])
    }

    @Test(arguments: ["{}", #"{"duration":0}"#, #"{"duration":-1}"#, #"{"duration":"3:20"}"#, #"{"duration":1e300}"#])
    func `what says no length goes on`(payload: String) throws {
        #expect(try self.play(payload).isOver(at: Self.received + .seconds(1_000_000)) == false)
    }

    @Test(arguments: [
        (#"{"media_id":"m"}"#, "media"), (#"{"webstream_id":"w"}"#, "webstream"), (#"{"source_type":"live"}"#, "live"),
        (#"{"source_type":"alien"}"#, "media"), (#"{"source_type":4}"#, "media"),
    ])
    func `the source type is what was said or what follows from it`(payload: String, type: String) throws {
        let answer = try self.play(payload).answer(at: Self.received)
        #expect(answer["source_type"]?.string == type)
        #expect(answer["is_live_dj"]?.bool == (type == "live"))
    }

    @Test func `a start that cannot be read is the moment of receipt`() throws {
        #expect(try self.play(#"{"starts_at":"yesterday"}"#).startedAt == Self.received)
        #expect(
            try self.play(#"{"starts_at":"2025-01-15T14:30:00+01:00"}"#).startedAt.rfc3339 == "2025-01-15T13:30:00Z")
    }
}
