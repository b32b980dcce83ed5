import Events

/// How many lines and reactions a user may send, over all of their connections: as many messages as the tier allows one connection
/// (contract wave §7).
struct SenderLimit: Sendable {
    private let buckets = RequestBuckets()

    /// Counts one message. Throws `limited` beyond.
    func take(_ sender: Principal) throws(CommandFailure) {
        let perMinute = sender.tier.requestsPerMinute
        let outcome = self.buckets.take(sender.seatOwner, perMinute: perMinute, at: .now)
        guard outcome.isAllowed else {
            throw CommandFailure(
                .limited, "The plan allows \(perMinute) messages a minute", retryAfter: outcome.retryAfter)
        }
    }
}
