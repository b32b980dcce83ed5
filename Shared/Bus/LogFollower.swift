import Events

/// Follows one publisher's durable log: puts events in order, drops duplicates, notices gaps and changes of the log, and asks for what
/// is missing.
struct LogFollower {
    enum Action: Equatable {
        /// - Parameter isRepaired: whether they come from a page of the log, not as they happened.
        case deliver([Event], isRepaired: Bool)
        /// The log has to be asked with `request`, again and again until a page comes.
        case ask
        /// Events that the log no longer has.
        case lost(epoch: UInt64, ClosedRange<UInt64>)
        /// The log had lost numbers that were followed already, and is followed from the end of what it kept.
        case wentBack(from: Position, to: UInt64)
        /// Another log, or one that does not know the followed writer's term, is followed from the moment of the last contact.
        case changedLog(from: Position, to: Position)
    }

    private enum State {
        case following
        /// A page is awaited; events that arrive meanwhile wait in `pending`.
        case repairing
    }

    private var state = State.following
    private var cursor = LogCursor()
    private var pending: [Event] = []
    private var pendingBytes = 0
    /// How many of `pending` had come when the page was asked for: the page's log is at least as new as theirs.
    private var pendingWhenAsked = 0
    private var recent = RecentEvents()
    /// The recent events, while the pages may hold some of them.
    private var repeated: Set<ULID>?
    /// When everything that the log had was last known to be here; at first, when the following began.
    private var levelAt: ContinuousClock.Instant
    private var askedAt: ContinuousClock.Instant

    static let pageSize = 500
    /// How long a page may take; one that comes later is not for this request.
    static let replayTimeout = Duration.seconds(5)
    static let pendingMax = 10_000
    static let pendingBytesMax = 8 << 20

    /// - Parameter start: from when on the publisher's events are of interest.
    init(start: ContinuousClock.Instant) {
        self.levelAt = start
        self.askedAt = start
    }

    var position: Position? { self.cursor.position }

    /// Begins the first contact: nothing has to be heard of the publisher for it.
    mutating func start() -> Action { self.ask() }

    /// - Parameter moment: not later than the event was sent.
    mutating func received(_ event: Event, sentAfter moment: ContinuousClock.Instant) -> [Action] {
        guard let position = event.position else { return [.deliver([event], isRepaired: false)] }
        if case .repairing = self.state {
            self.hold(event)
            return []
        }
        switch self.cursor.relation(to: position) {
        case .known: return []
        case .next:
            self.cursor.advance(to: position)
            self.recent.insert(event.id)
            self.levelAt = max(self.levelAt, moment)
            return [.deliver([event], isRepaired: false)]
        case .missing, .elsewhere:
            self.hold(event)
            return [self.ask()]
        }
    }

    /// - Parameters:
    ///   - head: the end of the publisher's log; of epoch 0 if it is alive, but its log is out of reach.
    ///   - moment: not later than the announcement was sent.
    mutating func announced(_ head: Position, sentAfter moment: ContinuousClock.Instant) -> [Action] {
        // During a repair nothing is concluded: the publisher announces itself again after it.
        guard head.epoch != 0, case .following = self.state else { return [] }
        switch self.cursor.relation(to: head) {
        case .known:
            if self.cursor.position == head { self.levelAt = max(self.levelAt, moment) }
            return []
        case .next, .missing, .elsewhere: return [self.ask()]
        }
    }

    /// Returns the question to send, after `.ask` and whenever no page has come.
    mutating func request(at now: ContinuousClock.Instant) -> ReplayRequest {
        self.askedAt = now
        self.pendingWhenAsked = self.pending.count
        return self.cursor.request(ago: now - self.levelAt + Self.replayTimeout, limit: Self.pageSize)
    }

    /// Takes the answer to the last request.
    mutating func replayed(_ page: ReplayPage) -> [Action] {
        self.state = .following
        let before = self.cursor.position
        let reading = self.cursor.take(page)
        var actions: [Action] = []
        if let before, reading.isElsewhere {
            actions.append(.changedLog(from: before, to: page.head))
        } else if let before, reading.isBehind {
            actions.append(.wentBack(from: before, to: page.after))
        }
        if !actions.isEmpty { self.repeated = self.recent.set }
        if let lost = reading.lost { actions.append(.lost(epoch: page.head.epoch, lost)) }
        let events = reading.events.filter { self.repeated?.contains($0.id) != true }
        for event in events { self.recent.insert(event.id) }
        if !events.isEmpty { actions.append(.deliver(events, isRepaired: true)) }
        if self.cursor.isLevel(with: page.head) {
            self.levelAt = max(self.levelAt, self.askedAt)
            self.repeated = nil
        }
        return actions + self.acceptPending(of: page)
    }

    /// No page came: what waits is in the log, and `request` asks for it again.
    mutating func replayFailed() {
        self.pending = []
        self.pendingBytes = 0
    }

    private mutating func acceptPending(of page: ReplayPage) -> [Action] {
        // An event of another term that came before the page was asked for is of a log that is no more. One that came later may be of
        // the next term: the log is asked again.
        let waiting = self.pending.enumerated().filter { place, event in
            place >= self.pendingWhenAsked || event.position?.isSameTerm(as: page.head) == true
        }
        .map(\.element).sorted { ($0.position?.seq ?? 0) < ($1.position?.seq ?? 0) }
        self.replayFailed()
        var actions: [Action] = []
        for event in waiting { actions += self.received(event, sentAfter: self.levelAt) }
        if case .following = self.state, !self.cursor.isLevel(with: page.head) { actions.append(self.ask()) }
        return actions
    }

    /// Keeps an event for later, if there is room. Otherwise it is noticed as a gap after the repair, and asked for.
    private mutating func hold(_ event: Event) {
        guard self.pending.count < Self.pendingMax, self.pendingBytes < Self.pendingBytesMax else { return }
        self.pending.append(event)
        self.pendingBytes += event.data.count
    }

    private mutating func ask() -> Action {
        self.state = .repairing
        return .ask
    }
}
