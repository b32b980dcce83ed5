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
    /// Announcements in a row that were behind `position`.
    private var announcedBehind = 0
    /// The first contact replays what happened from here on.
    private let since: Timestamp

    static let pageSize = 500
    static let pendingMax = 10_000
    /// An announcement that was overtaken (on its way, or by a page) is behind; so many in a row may mean that the log went back.
    private static let announcedBehindMax = 2

    init(since: Timestamp) { self.since = since }

    mutating func received(_ event: Event) -> Action {
        guard let position = event.position else { return .deliver([event]) }
        if case .repairing = self.state {
            // What does not fit is noticed as a hole later and asked for again.
            if self.pending.count < Self.pendingMax { self.pending.append(event) }
            return .nothing
        }
        guard let last = self.position, last.epoch == position.epoch else {
            self.pending.append(event)
            return self.request()
        }
        if position.seq <= last.seq { return .nothing }
        guard position.seq == last.seq &+ 1 else {
            self.pending.append(event)
            return self.request()
        }
        self.position = position
        self.announcedBehind = 0
        return .deliver([event])
    }

    mutating func announced(_ head: Position) -> Action {
        // Epoch 0: the publisher is alive, but its log is out of reach.
        guard head.epoch != 0 else { return .nothing }
        // What is announced during a repair is announced again after it.
        if case .repairing = self.state { return .nothing }
        guard let position = self.position, position.epoch == head.epoch else { return self.request() }
        if head.seq > position.seq { return self.request() }
        self.announcedBehind = head.seq < position.seq ? self.announcedBehind + 1 : 0
        // Only the log itself can tell that it went back.
        return self.announcedBehind >= Self.announcedBehindMax ? self.request() : .nothing
    }

    /// The answer to the last request: what the log holds after `position`, or another log from its beginning.
    mutating func replayed(_ page: ReplayPage) -> [Action] {
        self.state = .following
        self.announcedBehind = 0
        let known = self.position?.epoch == page.epoch ? self.position?.seq : nil
        let fresh = page.events.filter { ($0.position?.seq ?? 0) > known ?? 0 }
        var actions: [Action] = []
        if let known {
            let there = fresh.first?.position?.seq ?? page.head &+ 1
            if there > known &+ 1 { actions.append(.lost(epoch: page.epoch, from: known &+ 1, through: there - 1)) }
        }
        if !fresh.isEmpty { actions.append(.deliver(fresh)) }
        // An empty page's head may be before `known`: a log that was restored without a new epoch is followed from its new end.
        // A page may reach beyond its head, which was read first.
        self.position = Position(epoch: page.epoch, seq: fresh.last?.position?.seq ?? page.head)
        return actions + self.acceptPending(of: page)
    }

    /// The page did not come; the next event or announcement asks again.
    mutating func replayFailed() {
        self.state = .following
        self.pending.removeAll()
    }

    private mutating func acceptPending(of page: ReplayPage) -> [Action] {
        // An event of another epoch is old news, or there will be an announcement of that epoch.
        var waiting = self.pending.filter { $0.position?.epoch == page.epoch }
        self.pending = []
        waiting.sort { ($0.position?.seq ?? 0) < ($1.position?.seq ?? 0) }
        var actions: [Action] = []
        for event in waiting { actions.append(self.received(event)) }
        if case .following = self.state, let position = self.position, position.seq < page.head {
            actions.append(self.request())
        }
        return actions.filter { $0 != .nothing }
    }

    /// Always from where we are: a publisher with another log starts at its beginning and says so.
    private mutating func request() -> Action {
        self.state = .repairing
        guard let position = self.position else {
            return .request(ReplayRequest(epoch: nil, after: nil, since: self.since, limit: Self.pageSize))
        }
        return .request(ReplayRequest(epoch: position.epoch, after: position.seq, since: nil, limit: Self.pageSize))
    }
}
