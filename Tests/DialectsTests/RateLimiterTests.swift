import Dialects
import Events
import Testing

@Suite struct RateLimiterTests {
    @Test func `a bucket allows its burst, then its refill`() {
        let taken = Self.take(RateLimit(burst: 3, perSecond: 10), atMilliseconds: [0, 0, 0, 0, 0, 99, 100, 100])
        #expect(taken == [true, true, true, false, false, false, true, false])
    }

    @Test func `a bucket never holds more than its burst`() {
        let taken = Self.take(RateLimit(burst: 2, perSecond: 10), atMilliseconds: [60_000, 60_000, 60_000])
        #expect(taken == [true, true, false])
    }

    @Test func `a clock that steps back costs nothing and gives nothing`() {
        let taken = Self.take(RateLimit(burst: 1, perSecond: 1), atMilliseconds: [0, -30_000, -29_000])
        #expect(taken == [true, false, true])
    }

    @Test func `a window counts every attempt in it, the refused ones too`() {
        let seconds: [Int64] = [0, 30, 59, 80, 118, 178]
        let taken = Self.take(.rolling(2, per: .seconds(60)), atMilliseconds: seconds.map { $0 * 1000 })
        #expect(taken == [true, true, false, false, false, true])
    }

    private static func take(_ limit: RateLimit, atMilliseconds moments: [Int64]) -> [Bool] {
        var limiter = RateLimiter(limit, at: .noon)
        return moments.map { limiter.take(at: .noon + .milliseconds($0)) }
    }
}
