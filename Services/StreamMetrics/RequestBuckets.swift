import Events
import NIOConcurrencyHelpers

/// A bucket of requests for each that sends them, which fills steadily: so many a minute, twice as many at once.
final class RequestBuckets: Sendable {
    struct Outcome: Sendable, Hashable {
        let isAllowed: Bool
        let remaining: Int
        /// When nothing of what was sent counts any more.
        let fullAt: Timestamp
        /// In seconds, 1 at least.
        let retryAfter: Int
    }

    private struct Bucket {
        var tokens: Double
        var time: Timestamp
    }

    private let buckets = NIOLockedValueBox<[String: Bucket]>([:])

    /// Beyond, those that are full again are forgotten.
    private static let countMax = 10_000

    /// Counts one request.
    func take(_ owner: String, perMinute: Int, at moment: Timestamp) -> Outcome {
        let capacity = Double(perMinute * 2)
        let perSecond = Double(perMinute) / 60
        return self.buckets.withLockedValue { buckets in
            var bucket = buckets[owner] ?? Bucket(tokens: capacity, time: moment)
            let seconds = max(0, (moment - bucket.time) / .seconds(1))
            bucket = Bucket(tokens: min(capacity, bucket.tokens + seconds * perSecond), time: moment)
            let isAllowed = bucket.tokens >= 1
            if isAllowed { bucket.tokens -= 1 }
            if buckets.count >= Self.countMax, buckets[owner] == nil {
                // In two minutes the emptiest is full.
                buckets = buckets.filter { moment - $0.value.time < .seconds(120) }
            }
            buckets[owner] = bucket
            let untilFull = (capacity - bucket.tokens) / perSecond
            return Outcome(
                isAllowed: isAllowed, remaining: Int(bucket.tokens),
                fullAt: moment + .milliseconds(Int64(clamping: untilFull * 1000)),
                retryAfter: max(1, Int(((1 - bucket.tokens) / perSecond).rounded(.up))))
        }
    }
}
