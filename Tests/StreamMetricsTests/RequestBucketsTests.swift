import Events
import Testing

@testable import StreamMetrics

@Suite struct RequestBucketsTests {
    @Test func `twice the rate at once, then the rate`() {
        let buckets = RequestBuckets()
        let start = Timestamp(milliseconds: 1_000_000)
        for number in 0..<120 {
            let outcome = buckets.take("a", perMinute: 60, at: start)
            #expect(outcome.isAllowed && outcome.remaining == 119 - number)
        }
        let refused = buckets.take("a", perMinute: 60, at: start)
        #expect(!refused.isAllowed && refused.remaining == 0 && refused.retryAfter == 1)
        #expect(refused.fullAt == Timestamp(milliseconds: 1_120_000))
        // Another's are its own.
        #expect(buckets.take("b", perMinute: 60, at: start).isAllowed)
        let later = start + .seconds(3)
        for _ in 0..<3 { #expect(buckets.take("a", perMinute: 60, at: later).isAllowed) }
        #expect(!buckets.take("a", perMinute: 60, at: later).isAllowed)
        #expect(buckets.take("a", perMinute: 60, at: start + .seconds(1000)).remaining == 119)
    }

    @Test func `a clock that goes back takes nothing away`() {
        let buckets = RequestBuckets()
        #expect(buckets.take("a", perMinute: 60, at: Timestamp(milliseconds: 10_000)).remaining == 119)
        #expect(buckets.take("a", perMinute: 60, at: Timestamp(milliseconds: 0)).remaining == 118)
    }
}
