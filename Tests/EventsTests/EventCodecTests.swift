import Events
import Testing

@Suite struct EventCodecTests {
    private static let durable = Event(
        id: ULID(high: 1, low: .max), type: "radio.now_playing", tenant: "acme", room: "station/1",
        position: Position(epoch: 7, term: 1, seq: 9),
        publisher: .radioPlayout, time: Timestamp(milliseconds: 1_705_336_200_123), data: Array(#"{"a":1}"#.utf8))

    private static var transient: Event {
        var event = Self.durable
        event.position = nil
        event.room = ""
        event.type = "radio.health"
        return event
    }

    @Test(arguments: [Self.durable, Self.transient])
    func `an event survives the bus`(event: Event) {
        #expect(EventCodec.event(from: EventCodec.frames(of: event)) == event)
    }

    @Test func `the topic says durable or transient, tenant, type and room`() {
        #expect(EventCodec.frames(of: Self.durable)[0] == Array("d/acme/radio.now_playing/station/1".utf8))
        #expect(EventCodec.frames(of: Self.transient)[0] == Array("t/acme/radio.health/".utf8))
    }

    @Test(arguments: [
        "a/b", "/", "", "%", "a%2Fb", "%25/", "../../d/other", "a/\u{301}b", "%\u{301}2F", "a/radio.now_playing/x",
    ])
    func `a slash in a tenant or a type stays in it`(name: String) throws {
        var event = Self.durable
        (event.tenant, event.type) = (name, EventType(name))
        let frames = EventCodec.frames(of: event)
        #expect(EventCodec.event(from: frames) == event)
        #expect(frames[0].count { $0 == UInt8(ascii: "/") } == 4)
    }

    @Test(arguments: ["d/a%/t/r", "d/a%2/t/r", "d/a%2f/t/r", "d/a%41/t/r", "d/a/%/r", "d/a/t%zz/r"])
    func `a topic with another escape is refused`(topic: String) {
        let good = EventCodec.frames(of: Self.durable)
        #expect(EventCodec.event(from: [Array(topic.utf8), good[1], good[2]]) == nil)
    }

    @Test func `frames that are no event are refused`() {
        let good = EventCodec.frames(of: Self.durable)
        let bad: [[[UInt8]]] = [
            [], [good[0]], [good[0], good[1]], good + [[]], [[], good[1], good[2]], [good[0], [], good[2]],
            [good[0], Array(good[1].prefix(41)), good[2]], [good[0], [9] + good[1].dropFirst(), good[2]],
            [Array("d/acme/x".utf8), good[1], good[2]],
            [good[0], Array(good[1].prefix(41)) + Array("nobody".utf8), good[2]],
        ]
        for frames in bad { #expect(EventCodec.event(from: frames) == nil) }
    }

    @Test func `no random bytes trap`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let frames = (0..<Int.random(in: 0...4)).map { _ in
                (0..<Int.random(in: 0...80)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            }
            _ = EventCodec.event(from: frames)
            _ = Announcement(frames: frames)
        }
    }

    @Test func `an announcement survives the bus, and nothing else is one`() {
        let announcement = Announcement(publisher: .obsBridge, position: Position(epoch: 3, term: 1, seq: .max))
        #expect(Announcement(frames: announcement.frames) == announcement)
        #expect(Announcement(frames: EventCodec.frames(of: Self.durable)) == nil)
        #expect(Announcement(frames: [announcement.frames[0], announcement.frames[1] + [0]]) == nil)
        #expect(Announcement(frames: [Array("a/nobody".utf8), announcement.frames[1]]) == nil)
    }
}
