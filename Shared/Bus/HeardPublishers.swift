public import Events
import NIOConcurrencyHelpers

/// What a subscriber has heard of each publisher, for whoever wants to know.
public final class HeardPublishers: Sendable {
    /// What is known of a publisher.
    public struct State: Sendable {
        /// It was heard within the last three seconds.
        public var isHeard: Bool
        /// Up to where its durable events were delivered.
        public var position: Position?
    }

    private let heard = NIOLockedValueBox<[ServiceName: (at: ContinuousClock.Instant, position: Position?)]>([:])

    private static let silenceMax = Duration.seconds(3)

    public init() {}

    public func state(of publisher: ServiceName) -> State {
        let last = self.heard.withLockedValue { $0[publisher] }
        let isHeard = last.map { ContinuousClock.now - $0.at < Self.silenceMax } ?? false
        return State(isHeard: isHeard, position: last?.position)
    }

    /// Up to where each publisher's durable events were delivered.
    public var positions: [ServiceName: Position] { self.heard.withLockedValue { $0.compactMapValues(\.position) } }

    /// After the delivery, so that whoever reads a position can rely on it that all up to there was handed on.
    func note(_ publisher: ServiceName, at position: Position?) {
        self.heard.withLockedValue { $0[publisher] = (.now, position) }
    }
}
