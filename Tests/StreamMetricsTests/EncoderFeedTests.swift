import Events
import Testing

@testable import StreamMetrics

@Suite struct EncoderFeedTests {
    private static func counters(_ bytes: Int64, _ total: Int64, _ skipped: Int64) -> FeedStream.Counters {
        FeedStream.Counters(bytes: bytes, totalFrames: total, skippedFrames: skipped)
    }

    private static func health(
        from last: FeedStream.Counters?, to now: FeedStream.Counters, seconds: Double = 5
    ) -> StreamHealth {
        EncoderFeed.health(of: "stream_1", from: last, to: now, seconds: seconds, fps: 59.94)
    }

    @Test(
        arguments: [
            // 6 Mbit/s at 60 frames/s.
            ((0, 0, 0), (3_750_000, 300, 0), 5, 6000, 0), ((1000, 600, 3), (3_751_000, 900, 6), 5, 6000, 0.01),
            ((0, 0, 0), (3_750_000, 300, 300), 5, 6000, 1),
            // Rounded to a tenth and to a ten-thousandth.
            ((0, 0, 0), (1, 3, 1), 3, 0, 0.3333), ((0, 0, 0), (1000, 3, 2), 7, 1.1, 0.6667),
            // An output that stands still, and one without pictures.
            ((5000, 300, 2), (5000, 300, 2), 5, 0, 0), ((0, 0, 0), (1_000_000, 0, 0), 2, 4000, 0),
            // OBS counts both for itself: neither is more than all nor less than none.
            ((0, 100, 0), (1000, 110, 20), 1, 8, 1), ((0, 100, 9), (1000, 110, 5), 1, 8, 0),
            ((0, 100, 0), (1000, 100, 5), 1, 8, 0),
        ] as [((Int64, Int64, Int64), (Int64, Int64, Int64), Double, Double, Double)])
    func `health is what changed since the last time`(
        last: (Int64, Int64, Int64), now: (Int64, Int64, Int64), seconds: Double, bitrate: Double, loss: Double
    ) {
        let health = Self.health(
            from: Self.counters(last.0, last.1, last.2), to: Self.counters(now.0, now.1, now.2), seconds: seconds)
        #expect(
            health == StreamHealth(streamID: "stream_1", bitrate: bitrate, fps: 59.94, packetLoss: loss, latency: nil))
    }

    @Test(
        arguments: [
            (nil, counters(3_750_000, 300, 0), 5), (counters(0, 0, 0), counters(1, 1, 0), 0),
            (counters(0, 0, 0), counters(1, 1, 0), -1),
            // Another output's.
            (counters(9, 9, 9), counters(8, 10, 9), 5), (counters(9, 9, 9), counters(10, 8, 0), 5),
        ] as [(FeedStream.Counters?, FeedStream.Counters, Double)])
    func `with nothing to compare with, nothing is said but the frame rate`(
        last: FeedStream.Counters?, now: FeedStream.Counters, seconds: Double
    ) {
        let health = Self.health(from: last, to: now, seconds: seconds)
        #expect(
            health == StreamHealth(streamID: "stream_1", bitrate: nil, fps: 59.94, packetLoss: nil, latency: nil))
    }

    @Test func `a frame rate that nobody measured is none`() {
        let health = EncoderFeed.health(
            of: "stream_1", from: Self.counters(0, 0, 0), to: Self.counters(1000, 10, 0), seconds: 1, fps: nil)
        #expect(health.fps == nil && health.bitrate == 8)
    }

    @Test func `counters of any size are compared`() {
        let ends: [Int64] = [.min, -9_000_000_000_000_000_000, -1, 0, 9_000_000_000_000_000_000, .max]
        for last in ends {
            for now in ends {
                let health = Self.health(from: Self.counters(last, last, last), to: Self.counters(now, now, now))
                #expect((health.bitrate != nil) == (last >= 0 && now >= last))
            }
        }
    }
}
