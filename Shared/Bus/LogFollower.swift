import Events

/// Follows one publisher's durable log: puts events in order, drops duplicates, notices holes and asks for what is missing.
struct LogFollower {
    enum Action: Equatable {
        case deliver([Event])
        case request(ReplayRequest)
        /// Events that the log no longer has.
        case lost(epoch: UInt64, from: UInt64, through: UInt64)
        case nothing
    }

    private enum State {
        case following
        /// A page was asked for; events that arrive meanwhile wait in `pending`.
        case repairing
    }

    private var state = State.following
    private(set) var position: Position?
    private var pending: [Event] = []
    /// The furthest point of the log that was heard of.
    private var heardHead: Position?
    /// The first contact replays what happened from here on.
    private let since: Timestamp

    static let pageSize = 500
    static let pendingMax = 10_000

    init(since: Timestamp) { self.since = since }

    mutating func received(_ event: Event) -> Action {
        guard let position = event.position else { return .deliver([event]) }
        if case .repairing = self.state {
            // What does not fit is noticed as a hole later and asked for again.
            if self.pending.count < Self.pendingMax { self.pending.append(event) }
            return .nothing
        }
        return self.accept(event, at: position)
    }

    mutating func announced(_ head: Position) -> Action {
        // Epoch 0: the publisher is alive, but its log is out of reach.
        guard head.epoch != 0 else { return .nothing }
        self.heardHead = head
        if case .repairing = self.state { return .nothing }
        guard let position = self.position, position.epoch == head.epoch else { return self.request(epoch: head.epoch) }
        if head.seq > position.seq { return self.request(epoch: head.epoch) }
        if head.seq < position.seq {
            // The log went back without a new epoch (a restored database): follow it from its new end.
            self.position = head
        }
        return .nothing
    }

    mutating func replayed(_ page: ReplayPage) -> [Action] {
        self.state = .following
        var actions: [Action] = []
        if let position = self.position, position.epoch == page.epoch, page.oldest > position.seq + 1 {
            actions.append(.lost(epoch: page.epoch, from: position.seq + 1, through: page.oldest - 1))
            self.position?.seq = page.oldest - 1
        }
        let known = self.position?.epoch == page.epoch ? self.position?.seq ?? 0 : 0
        let fresh = page.events.filter { ($0.position?.seq ?? 0) > known }
        if !fresh.isEmpty { actions.append(.deliver(fresh)) }
        let end = page.events.count < Self.pageSize ? page.head : fresh.last?.position?.seq ?? page.head
        self.position = Position(epoch: page.epoch, seq: max(known, end))
        if self.heardHead?.epoch != page.epoch || (self.heardHead?.seq ?? 0) < page.head {
            self.heardHead = Position(epoch: page.epoch, seq: page.head)
        }
        return actions + self.acceptPending()
    }

    /// The page did not come; the next event or announcement asks again.
    mutating func replayFailed() {
        self.state = .following
        self.pending.removeAll()
    }

    private mutating func accept(_ event: Event, at position: Position) -> Action {
        guard let last = self.position, last.epoch == position.epoch else {
            self.pending.append(event)
            return self.request(epoch: position.epoch)
        }
        if position.seq <= last.seq { return .nothing }
        guard position.seq == last.seq + 1 else {
            self.pending.append(event)
            return self.request(epoch: position.epoch)
        }
        self.position = position
        return .deliver([event])
    }

    private mutating func acceptPending() -> [Action] {
        var waiting = self.pending
        self.pending = []
        waiting.sort { ($0.position?.seq ?? 0) < ($1.position?.seq ?? 0) }
        var actions: [Action] = []
        for event in waiting { actions.append(self.received(event)) }
        if case .following = self.state, let head = self.heardHead { actions.append(self.announced(head)) }
        return actions.filter { $0 != .nothing }
    }

    private mutating func request(epoch: UInt64) -> Action {
        self.state = .repairing
        guard let position = self.position else {
            return .request(ReplayRequest(epoch: nil, after: nil, since: self.since, limit: Self.pageSize))
        }
        // Another epoch is another log: everything in it is new.
        let after = position.epoch == epoch ? position.seq : 0
        return .request(ReplayRequest(epoch: epoch, after: after, since: nil, limit: Self.pageSize))
    }
}
