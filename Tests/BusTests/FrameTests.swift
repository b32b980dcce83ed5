import Events
import Testing

@testable import Bus

@Suite struct FrameTests {
    private static let page = ReplayPage(
        head: Position(epoch: 7, term: 1, seq: 12), after: 10, isContinuation: true,
        events: [.test(11, epoch: 7), .test(12, epoch: 7)])

    @Test func `a page reads back as it was written`() {
        let page = ReplayPage(
            head: Position(epoch: 7, term: 1, seq: 12), after: 10, isContinuation: true,
            events: [.test(11, epoch: 7), .test(12, epoch: 7, data: [UInt8](repeating: 0, count: 5000))])
        #expect(ReplayPage(bytes: page.bytes) == page)
        let empty = ReplayPage(
            head: Position(epoch: .max, term: .max, seq: .max), after: .max, isContinuation: false, events: [])
        #expect(ReplayPage(bytes: empty.bytes) == empty)
    }

    @Test func `a page that was cut short is not a page`() {
        let bytes = Self.page.bytes
        // Cut between events it is a page with fewer of them, and the rest is asked for again.
        let events = (0..<bytes.count).compactMap { ReplayPage(bytes: Array(bytes[..<$0]))?.events.count }
        #expect(events == [0, 1])
    }

    @Test(arguments: 0..<200 as Range<UInt64>) func `garbage is refused and never traps`(seed: UInt64) {
        var random = SeededGenerator(state: seed)
        var bytes = Self.page.bytes
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
        var bytes = Self.page.bytes
        bytes += [UInt8](repeating: 0xFF, count: 8)
        #expect(ReplayPage(bytes: bytes) == nil)
    }

    @Test func `a command reads back as it was written`() throws {
        let request = CommandRequest(
            correlation: .max, timeLeft: .seconds(5), name: "a.b", body: [0, 255])
        let read = try #require(CommandRequest(frames: request.frames[...]))
        #expect(read.correlation == .max)
        #expect(read.timeLeft == .seconds(5))
        #expect(read.name == "a.b")
        #expect(read.body == [0, 255])
    }

    @Test func `a time left that nobody waits for is limited`() throws {
        func read(_ timeLeft: [UInt8]) throws -> Duration {
            let header = [UInt8](repeating: 0, count: 8) + timeLeft
            return try #require(CommandRequest(frames: [header, Array("a".utf8), []])).timeLeft
        }
        #expect(try read([UInt8](repeating: 0xFF, count: 8)) == CommandRequest.timeLeftMax)
        #expect(try read([UInt8](repeating: 0, count: 8)) == .zero)
        #expect(CommandRequest(correlation: 1, timeLeft: .seconds(-1), name: "a", body: []).timeLeft == .zero)
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
