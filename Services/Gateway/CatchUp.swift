import Dialects
import Events

/// What a client gets that comes from another gateway: what happened since its token was made, from the publishers' logs. The durable
/// events that a publisher makes meanwhile wait until its log is read; each comes once and in its publisher's order.
struct CatchUp {
    /// Up to where the other gateway had told the client.
    private var start: [ServiceName: Position]
    /// Up to where it has been told now.
    private(set) var positions: [ServiceName: Position]
    /// Publishers whose logs are still to be read, in order.
    private var missing: [ServiceName]
    private var held: [ServiceName: [Event]] = [:]
    /// Publishers of which more came than may wait: their logs have it.
    private var overflowing: Set<ServiceName> = []
    /// What the session wants when all is told.
    var afterwards: [SessionAction] = []
    private let since: Timestamp
    let deadline: ContinuousClock.Instant

    private static let pageSize = 100
    /// Events of one publisher that may wait.
    private static let heldMax = 1000
    /// A publisher that does not answer is asked again for so long.
    private static let timeMax = Duration.seconds(10)
    static let retryPause = Duration.milliseconds(200)
    /// The next page is asked for when no more than that waits for the client.
    static let waitingMax = (frames: 100, bytes: 1 << 20)
    static let waitingPause = Duration.milliseconds(20)

    /// - Parameters:
    ///   - positions: up to where the other gateway had told the client.
    ///   - since: when it said so; for publishers that it knew nothing of.
    ///   - known: up to where each publisher's events have come here.
    init(positions: [ServiceName: Position], since: Timestamp, known: [ServiceName: Position]) {
        self.start = positions
        self.positions = positions
        self.since = since
        self.deadline = .now + Self.timeMax
        // Nobody is shown what auth publishes.
        self.missing = ServiceName.publishers.filter { publisher in
            guard publisher != .auth else { return false }
            guard let told = positions[publisher], let here = known[publisher] else { return true }
            return here.epoch != told.epoch || here.seq > told.seq
        }
    }

    /// Whose log to read next, and from where; `nil`: nothing is missing any more.
    var next: (publisher: ServiceName, request: ReplayRequest)? {
        guard let publisher = self.missing.first else { return nil }
        let told = self.positions[publisher]
        return (
            publisher,
            ReplayRequest(
                epoch: told?.epoch, after: told?.seq, since: told == nil ? self.since : nil, limit: Self.pageSize)
        )
    }

    /// All logs were read.
    var isComplete: Bool { self.missing.isEmpty }

    /// Takes a page of the log that was read; gives what is new of it, and behind it what has waited if that was all.
    mutating func take(_ events: [Event], epoch: UInt64, head: UInt64, of publisher: ServiceName) -> [Event] {
        if let told = self.positions[publisher], told.epoch != epoch {
            // Another log than the one that the client was told of is of interest from the token's moment on.
            self.positions[publisher] = nil
            self.start[publisher] = nil
            return []
        }
        let told = self.positions[publisher]?.seq ?? 0
        let fresh = events.filter { ($0.position?.seq ?? 0) > told }
        let last = events.last?.position?.seq ?? max(told, head)
        self.positions[publisher] = Position(epoch: epoch, seq: last)
        guard last >= head else { return fresh }
        // More came than could wait: it is in the log now, too.
        guard self.overflowing.remove(publisher) == nil else { return fresh }
        return fresh + self.pass(publisher)
    }

    /// Goes on without that publisher's log; gives what has waited.
    mutating func pass(_ publisher: ServiceName) -> [Event] {
        self.missing.removeAll { $0 == publisher }
        let waited = (self.held.removeValue(forKey: publisher) ?? []).filter { !self.includes($0) }
        if let last = waited.last?.position { self.positions[publisher] = last }
        return waited
    }

    /// Whether an event is not to be given to the client now: it was told already, or waits for what comes before it.
    mutating func holdsBack(_ event: Event) -> Bool {
        if self.includes(event) { return true }
        guard event.position != nil, self.missing.contains(event.publisher) else { return false }
        guard !self.overflowing.contains(event.publisher) else { return true }
        if self.held[event.publisher]?.count ?? 0 < Self.heldMax {
            self.held[event.publisher, default: []].append(event)
        } else {
            self.held[event.publisher] = nil
            self.overflowing.insert(event.publisher)
        }
        return true
    }

    /// Whether the client has been given that event already.
    private func includes(_ event: Event) -> Bool {
        guard let position = event.position, let told = self.positions[event.publisher] else { return false }
        return position.epoch == told.epoch && position.seq <= told.seq
    }

    /// Whether the client has that event from the log.
    func replayed(_ event: Event) -> Bool {
        guard let position = event.position, self.includes(event) else { return false }
        return self.start[event.publisher].map { $0.epoch != position.epoch || $0.seq < position.seq } ?? true
    }

    /// Whether that event waits for its publisher's log.
    func isWaiting(_ event: Event) -> Bool {
        self.overflowing.contains(event.publisher)
            || self.held[event.publisher]?.contains { $0.id == event.id } ?? false
    }

    /// As it is remembered when the client has gone.
    var ended: CatchUp {
        var ended = self
        ended.held = [:]
        ended.overflowing = []
        return ended
    }
}
