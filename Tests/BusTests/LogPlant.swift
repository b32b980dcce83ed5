import Events

@testable import Bus

/// A log with its history, its publisher, a bus that loses, repeats, delays and reorders, and one follower. The log is lost in part,
/// restored, replaced and trimmed. What the follower delivers is recorded.
struct LogPlant {
    /// The log as the database has it: in order of writing, with the writers' terms.
    private enum Record {
        case term(number: UInt64, epoch: UInt64, first: UInt64)
        case event(ULID, seq: UInt64, logged: Int64)
    }

    var follower: LogFollower
    private var random: SeededGenerator
    private var records: [Record] = []
    private var epoch: UInt64 = 1
    private var epochs: UInt64 = 1
    /// The first number that retention has left.
    private var first: UInt64 = 1
    /// Milliseconds since the follower began.
    private var now: Int64 = -30_000
    private var nextID: UInt64 = 1
    private var wire: [(event: Event, sent: Int64)] = []
    private var announcements: [(head: Position, sent: Int64)] = []
    private var asked: (request: ReplayRequest, at: Int64)?
    private var isFailed = false
    private var deliveries: [ULID] = []
    private(set) var rewinds = 0
    private(set) var changes = 0
    private(set) var problem: String?

    private let start = ContinuousClock.now
    private static let marginMax: Int64 = 1000

    init(seed: UInt64) {
        self.random = SeededGenerator(state: seed)
        self.follower = LogFollower(start: self.start)
        self.activate()
        for _ in 0..<20 { self.commit() }
        self.wire = []
        self.now = 0
        self.perform([self.follower.start()])
    }

    var head: Position {
        var head = Position(epoch: self.epoch, term: 0, seq: 0)
        for record in self.records {
            switch record {
            case .term(let number, _, let first): (head.term, head.seq) = (number, first - 1)
            case .event(_, let seq, _): head.seq = seq
            }
        }
        return head
    }

    private func instant(_ moment: Int64) -> ContinuousClock.Instant { self.start + .milliseconds(moment) }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self.random) }

    // MARK: what happens

    mutating func run(steps: Int) {
        for _ in 0..<steps {
            self.now += Int64(self.number(1...150))
            switch self.number(0...99) {
            case 0...29: self.commit()
            case 30...59: self.receive()
            case 60...69: self.announcements.append((self.head, self.now))
            case 70...79: self.hearAnnouncement()
            case 80...89: self.answer()
            case 90...91: self.fail()
            case 92: self.activate()
            case 93: self.lose(at: self.records.count - self.number(0...min(12, self.records.count)))
            case 94: self.lose(at: self.number(0...self.records.count))
            case 95: self.replace(keepsLog: true)
            case 96: self.replace(keepsLog: false)
            case 97: self.first = max(self.first, UInt64(self.number(0...Int(self.head.seq))))
            default: break
            }
        }
    }

    /// Everything arrives, and the publisher announces itself until the follower stands level.
    mutating func settle() {
        while !self.wire.isEmpty { self.receive() }
        while !self.announcements.isEmpty { self.hearAnnouncement() }
        for _ in 0..<20 {
            var turns = 0
            while self.asked != nil || self.isFailed {
                self.now += 1
                self.answer()
                turns += 1
                if turns > 10_000 { return self.complain("it asks for ever") }
            }
            self.perform(self.follower.announced(self.head, sentAfter: self.instant(self.now)))
        }
        self.check()
    }

    private mutating func commit() {
        let head = self.head
        for seq in head.seq + 1...head.seq + UInt64(self.number(1...20)) {
            let id = ULID(high: 0, low: self.nextID)
            self.nextID += 1
            self.records.append(.event(id, seq: seq, logged: self.now))
            let event = Self.event(id, at: Position(epoch: head.epoch, term: head.term, seq: seq))
            switch self.number(0...19) {
            case 0: break
            case 1: self.wire += [(event, self.now), (event, self.now)]
            case 2: self.wire.insert((event, self.now), at: self.number(max(0, self.wire.count - 5)...self.wire.count))
            default: self.wire.append((event, self.now))
            }
        }
    }

    /// A writer begins, here or elsewhere: it is announced at once, if nothing is lost.
    private mutating func activate() {
        self.now += 1
        let head = self.head
        let number = max(head.term + 1, UInt64(self.now + 1_000_000))
        self.records.append(.term(number: number, epoch: self.epoch, first: head.seq + 1))
        if self.number(0...3) > 0 { self.announcements.append((self.head, self.now)) }
    }

    /// All that was written from there on is lost: a failover, or a restore.
    private mutating func lose(at place: Int) {
        self.records.removeSubrange(place...)
        self.first = min(self.first, self.head.seq + 1)
        for case .term(_, let epoch, _) in self.records { self.epoch = epoch }
        self.activate()
    }

    private mutating func replace(keepsLog: Bool) {
        self.epochs += 1
        self.epoch = self.epochs
        if !keepsLog {
            self.records = []
            self.first = 1
        }
        self.activate()
    }

    // MARK: the follower

    private mutating func receive() {
        for _ in 0..<self.number(1...60) where !self.wire.isEmpty {
            let (event, sent) = self.wire.removeFirst()
            let moment = self.instant(sent - Int64(self.number(0...50)))
            self.perform(self.follower.received(event, sentAfter: moment))
        }
    }

    private mutating func hearAnnouncement() {
        guard !self.announcements.isEmpty else { return }
        let (head, sent) = self.announcements.removeFirst()
        self.perform(self.follower.announced(head, sentAfter: self.instant(sent)))
    }

    private mutating func answer() {
        if self.isFailed {
            self.isFailed = false
            self.asked = (self.follower.request(at: self.instant(self.now)), self.now)
            return
        }
        guard let (request, moment) = self.asked else { return }
        guard self.now - moment < LogFollower.replayTimeout.milliseconds else { return self.fail() }
        self.asked = nil
        let page = self.page(for: request)
        // It is on its way for a while.
        if Bool.random(using: &self.random) { self.commit() }
        self.perform(self.follower.replayed(page))
    }

    private mutating func fail() {
        guard self.asked != nil else { return }
        self.asked = nil
        self.follower.replayFailed()
        self.isFailed = true
    }

    private mutating func perform(_ actions: [LogFollower.Action]) {
        for action in actions {
            switch action {
            case .ask:
                if self.asked != nil || self.isFailed { self.complain("two requests at once") }
                self.asked = (self.follower.request(at: self.instant(self.now)), self.now)
            case .lost(let epoch, let seqs):
                if epoch == self.epoch, seqs.upperBound >= self.first { self.complain("\(seqs) is not lost") }
            case .wentBack: self.rewinds += 1
            case .changedLog: self.changes += 1
            case .deliver(let events, _): self.deliveries += events.map(\.id)
            }
        }
    }

    // MARK: the log

    private func page(for request: ReplayRequest) -> ReplayPage {
        let head = self.head
        let events = self.records.compactMap { record -> (id: ULID, seq: UInt64, logged: Int64)? in
            if case .event(let id, let seq, let logged) = record, seq >= self.first { (id, seq, logged) } else { nil }
        }
        let end = request.after.flatMap { self.end(of: $0, head) }
        let begin = self.now - request.ago - Self.marginMax
        let after =
            end.map { min($0, request.after?.seq ?? 0) } ?? events.first { $0.logged >= begin }.map { $0.seq - 1 }
            ?? head.seq
        // A publisher's pages may be smaller than the follower thinks.
        let page = events.filter { $0.seq > after }.prefix(self.nextID % 2 == 0 ? request.limit : 7)
        return ReplayPage(
            head: head, after: after, isContinuation: end != nil,
            events: page.map { Self.event($0.id, at: Position(epoch: head.epoch, term: head.term, seq: $0.seq)) })
    }

    /// Where what the asker knows of the log ends; `nil` if the log does not know its term.
    private func end(of asked: Position, _ head: Position) -> UInt64? {
        guard asked.epoch == head.epoch else { return nil }
        guard asked.term != head.term else { return head.seq }
        let terms = self.records.compactMap { record -> (number: UInt64, epoch: UInt64, first: UInt64)? in
            if case .term(let number, let epoch, let first) = record { (number, epoch, first) } else { nil }
        }
        guard let place = terms.firstIndex(where: { $0.number == asked.term && $0.epoch == asked.epoch }) else {
            return nil
        }
        return terms[place + 1].first - 1
    }

    private static func event(_ id: ULID, at position: Position) -> Event {
        var event = Event.test(position.seq)
        (event.id, event.position) = (id, position)
        return event
    }

    // MARK: the outcome

    /// Checks that the events of the final log were delivered in its order, each once: all since the follower began, none from long before.
    private mutating func check() {
        var logged: [ULID: Int64] = [:]
        var expected: [ULID] = []
        for case .event(let id, let seq, let moment) in self.records where seq >= self.first {
            logged[id] = moment
            expected.append(id)
        }
        let surviving = self.deliveries.filter { logged[$0] != nil }
        if let old = surviving.first(where: {
            (logged[$0] ?? 0) < -LogFollower.replayTimeout.milliseconds - Self.marginMax
        }) {
            self.complain("\(old) is from before the start")
        }
        if Set(self.deliveries).count != self.deliveries.count { self.complain("an event was delivered twice") }
        let known = Set(surviving)
        if let missed = expected.first(where: { (logged[$0] ?? 0) >= 0 && !known.contains($0) }) {
            self.complain("\(missed) was never delivered")
        }
        if surviving != expected.filter(known.contains) { self.complain("events came out of order") }
        if self.follower.position != self.head {
            self.complain("it stands at \(String(describing: self.follower.position))")
        }
    }

    private mutating func complain(_ problem: String) {
        if self.problem == nil { self.problem = problem }
    }
}
