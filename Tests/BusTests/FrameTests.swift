import Events
import Testing

@testable import Bus

@Suite struct FrameTests {
    @Test func `a page reads back as it was written`() {
        let page = ReplayPage(
            epoch: 7, oldest: 3, head: 12,
            events: [.test(11, epoch: 7), .test(12, epoch: 7, data: [UInt8](repeating: 0, count: 5000))])
        #expect(ReplayPage(bytes: page.bytes) == page)
        let empty = ReplayPage(epoch: 7, oldest: 13, head: 12, events: [])
        #expect(ReplayPage(bytes: empty.bytes) == empty)
    }

    @Test func `a page that was cut short is not a page`() {
        let bytes = ReplayPage(epoch: 7, oldest: 3, head: 12, events: [.test(11, epoch: 7), .test(12, epoch: 7)]).bytes
        // Cut between events it is a page with fewer of them, and the rest is asked for again.
        let events = (0..<bytes.count).compactMap { ReplayPage(bytes: Array(bytes[..<$0]))?.events.count }
        #expect(events == [0, 1])
    }

    @Test(arguments: 0..<200 as Range<UInt64>) func `garbage is refused and never traps`(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var bytes = ReplayPage(epoch: 7, oldest: 3, head: 12, events: [.test(11), .test(12)]).bytes
        for _ in 0..<4 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random) }
        _ = ReplayPage(bytes: bytes)
        let frames = (0..<Int.random(in: 0...4, using: &random)).map { _ in
            (0..<Int.random(in: 0...24, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        }
        _ = CommandRequest(frames: frames[...])
        _ = CommandReply(frames: frames)
        _ = EventCodec.event(from: frames)
        _ = Announcement(frames: frames)
    }

    @Test func `a length beyond the bytes is refused`() {
        var bytes = ReplayPage(epoch: 1, oldest: 1, head: 1, events: []).bytes
        bytes += [UInt8](repeating: 0xFF, count: 8)
        #expect(ReplayPage(bytes: bytes) == nil)
    }

    @Test func `a command reads back as it was written`() throws {
        let request = CommandRequest(
            correlation: .max, deadline: Timestamp(milliseconds: -5), name: "a.b", body: [0, 255])
        let read = try #require(CommandRequest(frames: request.frames[...]))
        #expect(read.correlation == .max)
        #expect(read.deadline == request.deadline)
        #expect(read.name == "a.b")
        #expect(read.body == [0, 255])
    }

    @Test func `an answer reads back as it was written`() throws {
        let failure = CommandFailure(.conflict, "it has \"ended\"")
        let refused = try #require(CommandReply(frames: CommandReply(correlation: 3, result: .failure(failure)).frames))
        #expect(refused.result == .failure(failure))
        let answered = try #require(CommandReply(frames: CommandReply(correlation: 3, result: .success([])).frames))
        #expect(answered.result == .success([]))
    }

    @Test func `a failure of a kind that we do not know is still a failure`() throws {
        let header: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 9]
        let reply = try #require(CommandReply(frames: [header, Array(#"{"code":"teapot","message":""}"#.utf8), []]))
        #expect(throws: CommandFailure.self) { try reply.result.get() }
    }
}
