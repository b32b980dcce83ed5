import Events
import Testing

@testable import StreamMetrics

@Suite struct HealthBookTests {
    private static func sample(_ id: String, _ bitrate: Double) -> StreamHealth {
        StreamHealth(streamID: id, bitrate: bitrate, fps: nil, packetLoss: nil, latency: nil)
    }

    @Test func `the last sample of each stream is kept`() {
        let book = HealthBook()
        book.note(Self.sample("a", 1), at: Timestamp(milliseconds: 1))
        book.note(Self.sample("b", 2), at: Timestamp(milliseconds: 2))
        book.note(Self.sample("a", 3), at: Timestamp(milliseconds: 3))
        #expect(book.last(of: "a")?.health.bitrate == 3 && book.last(of: "b")?.health.bitrate == 2)
        #expect(book.last(of: "c") == nil)
    }

    @Test func `the oldest goes when there are too many`() {
        let book = HealthBook()
        for number in 0...10_000 {
            book.note(Self.sample("\(number)", 0), at: Timestamp(milliseconds: Int64(number)))
        }
        #expect(book.last(of: "0") == nil)
        #expect(book.last(of: "1") != nil && book.last(of: "10000") != nil)
    }
}
