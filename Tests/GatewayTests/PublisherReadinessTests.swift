import Events
import ServiceKit
import Testing

@testable import Bus
@testable import Gateway

@Suite struct PublisherReadinessTests {
    private let start = ContinuousClock.now

    /// - Parameters:
    ///   - firstHeard: how long after the gateway's start.
    private func condition(
        heard isHeard: Bool, followed isFollowed: Bool, firstHeard: Duration? = nil, after time: Duration
    ) -> Readiness.Condition {
        let state = HeardPublishers.State(
            isHeard: isHeard, isFollowed: isFollowed, firstHeard: firstHeard.map { self.start + $0 })
        return PublisherReadiness.condition(of: state, start: self.start, now: self.start + time)
    }

    @Test func `a publisher that is followed is there, at once`() {
        #expect(self.condition(heard: true, followed: true, firstHeard: .zero, after: .zero) == .ready)
        #expect(self.condition(heard: true, followed: true, firstHeard: .zero, after: .seconds(86_400)) == .ready)
    }

    @Test func `a publisher without a sign is waited for three seconds, and then only missed`() {
        #expect(self.condition(heard: false, followed: false, after: .zero) == .missing)
        #expect(self.condition(heard: false, followed: false, after: .milliseconds(2999)) == .missing)
        #expect(self.condition(heard: false, followed: false, after: .seconds(3)) == .degraded)
    }

    @Test func `a publisher that answers is waited for until it is followed, 30 seconds from its first sign`() {
        let first = Duration.seconds(100)
        #expect(self.condition(heard: true, followed: false, firstHeard: first, after: first) == .missing)
        #expect(
            self.condition(heard: true, followed: false, firstHeard: first, after: .milliseconds(129_999)) == .missing)
        #expect(self.condition(heard: true, followed: false, firstHeard: first, after: .seconds(130)) == .degraded)
        #expect(self.condition(heard: true, followed: true, firstHeard: first, after: .seconds(200)) == .ready)
    }

    @Test func `a publisher that is down never keeps a gateway from being ready`() {
        // It answered a moment ago and its log was never reached; or it was followed.
        #expect(self.condition(heard: false, followed: false, firstHeard: .zero, after: .seconds(5)) == .degraded)
        #expect(self.condition(heard: false, followed: true, firstHeard: .zero, after: .seconds(5)) == .degraded)
        #expect(self.condition(heard: false, followed: true, firstHeard: .zero, after: .seconds(1)) == .degraded)
    }
}
