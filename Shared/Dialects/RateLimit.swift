public import Events

/// How much is allowed: a token bucket, or a count in a rolling window.
public struct RateLimit: Sendable, Hashable {
    /// At most this many at once.
    public var burst: Double
    /// The bucket's refill.
    public var perSecond: Double
    /// If set, there is no bucket: at most `burst` in any span of this length, and those that were refused count too.
    public var window: Duration?

    /// A token bucket.
    public init(burst: Double, perSecond: Double) {
        self.burst = burst
        self.perSecond = perSecond
    }

    /// At most `count` in any span of that length, the refused ones counted.
    public static func rolling(_ count: Int, per window: Duration) -> RateLimit {
        var limit = RateLimit(burst: Double(count), perSecond: 0)
        limit.window = window
        return limit
    }
}

/// Keeps one rate limit for one peer.
public struct RateLimiter: Sendable {
    private let limit: RateLimit
    private var tokens: Double
    private var refilled: Timestamp
    /// With a window: the last `burst` attempts, as a ring.
    private var attempts: [Timestamp] = []
    private var oldest = 0

    public init(_ limit: RateLimit, at now: Timestamp) {
        self.limit = limit
        self.tokens = limit.burst
        self.refilled = now
    }

    /// When it was asked last; at first, when it was made.
    public var last: Timestamp {
        guard let newest = self.attempts.indices.last else { return self.refilled }
        // In a full ring the newest stands before the oldest.
        return self.attempts[self.oldest == 0 ? newest : self.oldest - 1]
    }

    /// The part of the limit that is left, from 0 to 1.
    public func left(at now: Timestamp) -> Double {
        let left: Double
        if let window = self.limit.window {
            left = self.limit.burst - Double(self.attempts.count { now - $0 < window })
        } else {
            let elapsed = Swift.max(0, now.milliseconds - self.refilled.milliseconds)
            left = Swift.min(self.limit.burst, self.tokens + Double(elapsed) * self.limit.perSecond / 1000)
        }
        return self.limit.burst > 0 ? left / self.limit.burst : 0
    }

    /// Counts one more, and says whether it is within the limit.
    public mutating func take(at now: Timestamp) -> Bool {
        if let window = self.limit.window { return self.take(at: now, window: window) }
        // The wall clock may step back; a bucket must not lose tokens by that.
        let elapsed = Swift.max(0, now.milliseconds - self.refilled.milliseconds)
        self.tokens = Swift.min(self.limit.burst, self.tokens + Double(elapsed) * self.limit.perSecond / 1000)
        self.refilled = now
        guard self.tokens >= 1 else { return false }
        self.tokens -= 1
        return true
    }

    private mutating func take(at now: Timestamp, window: Duration) -> Bool {
        guard self.attempts.count >= Int(self.limit.burst) else {
            self.attempts.append(now)
            return true
        }
        guard !self.attempts.isEmpty else { return false }
        let isAllowed = now - self.attempts[self.oldest] >= window
        self.attempts[self.oldest] = now
        self.oldest = (self.oldest + 1) % self.attempts.count
        return isAllowed
    }
}
