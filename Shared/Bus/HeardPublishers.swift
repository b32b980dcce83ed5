public import Events
import NIOConcurrencyHelpers

/// The state of each publisher as a subscriber has heard it, for whoever wants to know.
public final class HeardPublishers: Sendable {
    /// The state of one publisher.
    public struct State: Sendable {
        /// It was heard within the last three seconds; while the subscriber does not listen, in the three seconds before that.
        public var isHeard: Bool
        /// The first contact with its log is through: from then on no durable event is missed.
        public var isFollowed: Bool
        /// When it was first heard, or first answered.
        public var firstHeard: ContinuousClock.Instant?
        /// Up to where its durable events were delivered.
        public var position: Position?
        /// The lead of its clock over this process's; `nil` until it has announced itself.
        public var skew: Duration?
    }

    private struct Heard {
        let first: ContinuousClock.Instant
        var at: ContinuousClock.Instant
        var position: Position?
        var skew: Duration?
    }

    private struct Content {
        var publishers: [ServiceName: Heard] = [:]
        /// Since when the subscriber does not listen; `nil` while it does.
        var pausedAt: ContinuousClock.Instant?
    }

    private let content = NIOLockedValueBox(Content())

    private let now: @Sendable () -> ContinuousClock.Instant

    private static let silenceMax = Duration.seconds(3)

    public convenience init() { self.init { .now } }

    /// - Parameter now: the clock by which a publisher is silent.
    init(now: @escaping @Sendable () -> ContinuousClock.Instant) { self.now = now }

    public func state(of publisher: ServiceName) -> State {
        let (last, pausedAt) = self.content.withLockedValue { ($0.publishers[publisher], $0.pausedAt) }
        let isHeard = last.map { (pausedAt ?? self.now()) - $0.at < Self.silenceMax } ?? false
        return State(
            isHeard: isHeard, isFollowed: last?.position != nil, firstHeard: last?.first, position: last?.position,
            skew: last?.skew)
    }

    /// Up to where each publisher's durable events were delivered.
    public var positions: [ServiceName: Position] {
        self.content.withLockedValue { $0.publishers.compactMapValues(\.position) }
    }

    /// Called after the delivery, so that whoever reads a position can rely on it that all up to there was handed on.
    /// - Parameter skew: `nil` if nothing new is known of it.
    func note(_ publisher: ServiceName, at position: Position?, skew: Duration? = nil) {
        let now = self.now()
        self.content.withLockedValue { content in
            let last = content.publishers[publisher]
            content.publishers[publisher] = Heard(
                first: last?.first ?? now, at: now, position: position, skew: skew ?? last?.skew)
        }
    }

    /// The subscriber stops listening: until it goes on, the silence of a publisher says nothing about it.
    func pause() {
        let now = self.now()
        self.content.withLockedValue { $0.pausedAt = $0.pausedAt ?? now }
    }

    /// The subscriber listens again; the time in which it did not is nobody's silence.
    func resume() {
        let now = self.now()
        self.content.withLockedValue { content in
            guard let pausedAt = content.pausedAt else { return }
            content.pausedAt = nil
            for publisher in content.publishers.keys { content.publishers[publisher]?.at += now - pausedAt }
        }
    }
}
