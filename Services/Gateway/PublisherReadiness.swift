import Bus
import ServiceKit

/// Decides what the state of a publisher means for the gateway's readiness.
///
/// A gateway that has not yet reached the log of a publisher that is up may miss that publisher's events, so it gets no clients until then.
/// One whose publisher is down is as good as any other gateway.
enum PublisherReadiness {
    /// How long after its start the gateway waits for a first sign of a publisher.
    static let startMax = Duration.seconds(3)
    /// How long a publisher whose log cannot be reached keeps the gateway from being ready, from its first sign on.
    static let followMax = Duration.seconds(30)

    /// - Parameter start: when the gateway began to listen.
    static func condition(
        of state: HeardPublishers.State, start: ContinuousClock.Instant, now: ContinuousClock.Instant
    ) -> Readiness.Condition {
        if state.isHeard, state.isFollowed { return .ready }
        if state.isFollowed { return .degraded }
        if state.isHeard, let firstHeard = state.firstHeard {
            return now - firstHeard < Self.followMax ? .missing : .degraded
        }
        return now - start < Self.startMax ? .missing : .degraded
    }
}
