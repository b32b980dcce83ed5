import Events
import Testing

@testable import Bus

@Suite struct LogFollowerTests {
    private func follower(at seq: UInt64, epoch: UInt64 = 1) -> LogFollower {
        var follower = LogFollower(since: Timestamp(milliseconds: 0))
        _ = follower.announced(Position(epoch: epoch, seq: seq))
        _ = follower.replayed(ReplayPage(epoch: epoch, oldest: 1, head: seq, events: []))
        return follower
    }

    private func request(after seq: UInt64, epoch: UInt64 = 1) -> ReplayRequest {
        ReplayRequest(epoch: epoch, after: seq, since: nil, limit: LogFollower.pageSize)
    }

    @Test func `the first contact asks for what happened since the start`() {
        var follower = LogFollower(since: Timestamp(milliseconds: 77))
        let asked = ReplayRequest(
            epoch: nil, after: nil, since: Timestamp(milliseconds: 77), limit: LogFollower.pageSize)
        #expect(follower.received(.test(9)) == .request(asked))
        #expect(follower.received(.test(10)) == .nothing)
        let page = ReplayPage(epoch: 1, oldest: 1, head: 9, events: [.test(8), .test(9)])
        #expect(follower.replayed(page) == [.deliver([.test(8), .test(9)]), .deliver([.test(10)])])
        #expect(follower.position == Position(epoch: 1, seq: 10))
    }

    @Test func `a log without anything new is followed from its head`() {
        var follower = LogFollower(since: Timestamp(milliseconds: 77))
        _ = follower.announced(Position(epoch: 1, seq: 40))
        #expect(follower.replayed(ReplayPage(epoch: 1, oldest: 1, head: 40, events: [])) == [])
        #expect(follower.received(.test(41)) == .deliver([.test(41)]))
    }

    @Test func `transient events pass at any time`() {
        var follower = LogFollower(since: Timestamp(milliseconds: 0))
        #expect(follower.received(.test(nil)) == .deliver([.test(nil)]))
        _ = follower.received(.test(3))
        #expect(follower.received(.test(nil)) == .deliver([.test(nil)]))
    }

    @Test func `a hole is repaired, and what came behind it waits`() {
        var follower = self.follower(at: 5)
        #expect(follower.received(.test(8)) == .request(self.request(after: 5)))
        #expect(follower.received(.test(7)) == .nothing)
        let page = ReplayPage(epoch: 1, oldest: 1, head: 7, events: [.test(6), .test(7)])
        #expect(follower.replayed(page) == [.deliver([.test(6), .test(7)]), .deliver([.test(8)])])
    }

    @Test func `an announced tail is asked for`() {
        var follower = self.follower(at: 5)
        #expect(follower.announced(Position(epoch: 1, seq: 6)) == .request(self.request(after: 5)))
        #expect(
            follower.replayed(ReplayPage(epoch: 1, oldest: 1, head: 6, events: [.test(6)])) == [.deliver([.test(6)])])
        #expect(follower.announced(Position(epoch: 1, seq: 6)) == .nothing)
    }

    @Test func `a page that reaches beyond its head delivers nothing twice`() {
        var follower = self.follower(at: 5)
        _ = follower.received(.test(7))
        _ = follower.received(.test(8))
        // The head was read before the events were, and two were committed in between.
        let page = ReplayPage(epoch: 1, oldest: 1, head: 6, events: [.test(6), .test(7), .test(8)])
        #expect(follower.replayed(page) == [.deliver([.test(6), .test(7), .test(8)])])
        #expect(follower.received(.test(9)) == .deliver([.test(9)]))
    }

    @Test func `an announcement that an event has overtaken does not move the position back`() {
        var follower = self.follower(at: 5)
        _ = follower.received(.test(6))
        #expect(follower.announced(Position(epoch: 1, seq: 5)) == .nothing)
        #expect(follower.received(.test(7)) == .deliver([.test(7)]))
        #expect(follower.position == Position(epoch: 1, seq: 7))
    }

    @Test func `a head that stays behind is checked with the log`() {
        var follower = self.follower(at: 50)
        #expect(follower.announced(Position(epoch: 1, seq: 3)) == .nothing)
        #expect(follower.announced(Position(epoch: 1, seq: 3)) == .request(self.request(after: 50)))
        #expect(follower.replayed(ReplayPage(epoch: 1, oldest: 1, head: 3, events: [])) == [])
        #expect(follower.received(.test(4)) == .deliver([.test(4)]))
    }

    @Test func `a head that only seemed to stay behind changes nothing`() {
        var follower = self.follower(at: 50)
        _ = follower.announced(Position(epoch: 1, seq: 3))
        _ = follower.announced(Position(epoch: 1, seq: 3))
        #expect(follower.replayed(ReplayPage(epoch: 1, oldest: 1, head: 50, events: [])) == [])
        #expect(follower.received(.test(51)) == .deliver([.test(51)]))
    }

    @Test func `what retention has dropped is reported as lost`() {
        var follower = self.follower(at: 5)
        _ = follower.announced(Position(epoch: 1, seq: 20))
        let page = ReplayPage(epoch: 1, oldest: 19, head: 20, events: [.test(19), .test(20)])
        #expect(follower.replayed(page) == [.lost(epoch: 1, from: 6, through: 18), .deliver([.test(19), .test(20)])])
    }

    @Test func `a log that holds nothing any more is lost to its head`() {
        var follower = self.follower(at: 5)
        _ = follower.announced(Position(epoch: 1, seq: 20))
        let page = ReplayPage(epoch: 1, oldest: 21, head: 20, events: [])
        #expect(follower.replayed(page) == [.lost(epoch: 1, from: 6, through: 20)])
        #expect(follower.received(.test(21)) == .deliver([.test(21)]))
    }

    @Test func `retention that cut while a page was read loses nothing of that page`() {
        var follower = self.follower(at: 5)
        _ = follower.announced(Position(epoch: 1, seq: 8))
        let page = ReplayPage(epoch: 1, oldest: 8, head: 8, events: [.test(6), .test(7), .test(8)])
        #expect(follower.replayed(page) == [.deliver([.test(6), .test(7), .test(8)])])
    }

    @Test func `a short page is followed by another request`() {
        var follower = self.follower(at: 0)
        _ = follower.announced(Position(epoch: 1, seq: 4))
        let page = ReplayPage(epoch: 1, oldest: 1, head: 4, events: [.test(1), .test(2)])
        #expect(follower.replayed(page) == [.deliver([.test(1), .test(2)]), .request(self.request(after: 2))])
    }

    @Test func `another epoch is another log, from its beginning`() {
        var follower = self.follower(at: 5)
        #expect(follower.received(.test(2, epoch: 9)) == .request(self.request(after: 5)))
        let page = ReplayPage(epoch: 9, oldest: 1, head: 2, events: [.test(1, epoch: 9), .test(2, epoch: 9)])
        #expect(follower.replayed(page) == [.deliver(page.events)])
        #expect(follower.position == Position(epoch: 9, seq: 2))
    }

    @Test func `a late event of an old epoch costs one request, and nothing is lost`() {
        var follower = self.follower(at: 5, epoch: 9)
        #expect(follower.received(.test(80, epoch: 1)) == .request(self.request(after: 5, epoch: 9)))
        #expect(follower.replayed(ReplayPage(epoch: 9, oldest: 1, head: 5, events: [])) == [])
        #expect(follower.received(.test(6, epoch: 9)) == .deliver([.test(6, epoch: 9)]))
    }

    @Test func `a log out of reach is not a log of epoch 0`() {
        var follower = self.follower(at: 5)
        #expect(follower.announced(Position(epoch: 0, seq: 0)) == .nothing)
        #expect(follower.received(.test(6)) == .deliver([.test(6)]))
    }

    @Test func `a page that does not come is asked for again`() {
        var follower = self.follower(at: 5)
        _ = follower.received(.test(7))
        follower.replayFailed()
        #expect(follower.received(.test(8)) == .request(self.request(after: 5)))
    }

    @Test func `what waits during a repair is bounded`() {
        var follower = self.follower(at: 0)
        let count = UInt64(LogFollower.pendingMax + 2000)
        for seq in 2...count { _ = follower.received(.test(seq)) }
        var delivered: [UInt64] = []
        var answer = follower.replayed(ReplayPage(epoch: 1, oldest: 1, head: count, events: [.test(1)]))
        while true {
            for case .deliver(let events) in answer { delivered += events.compactMap { $0.position?.seq } }
            guard case .request(let request)? = answer.last, let after = request.after else { break }
            let events = (after + 1...min(count, after + UInt64(request.limit))).map { Event.test($0) }
            answer = follower.replayed(ReplayPage(epoch: 1, oldest: 1, head: count, events: events))
        }
        #expect(delivered == Array(1...count))
    }

    @Test func `numbers at the end of their range do not trap`() {
        var follower = self.follower(at: UInt64.max)
        _ = follower.received(.test(3))
        _ = follower.announced(Position(epoch: 1, seq: 0))
        _ = follower.announced(Position(epoch: 1, seq: 0))
        _ = follower.replayed(ReplayPage(epoch: 1, oldest: 0, head: UInt64.max, events: []))
        #expect(follower.position == Position(epoch: 1, seq: UInt64.max))
    }

    @Test(arguments: 0..<60 as Range<UInt64>)
    func `whatever the bus does, events arrive in order, once, and completely`(seed: UInt64) {
        var plant = LogPlant(seed: seed)
        plant.run(steps: 400)
        plant.settle()
        #expect(plant.problem == nil)
        #expect(plant.follower.position == plant.head)
    }
}

/// A log, its publisher, a bus that loses, repeats and reorders, and one follower.
private struct LogPlant {
    var follower = LogFollower(since: Timestamp(milliseconds: 0))
    private var random: SeededGenerator
    private var epoch: UInt64 = 1
    private var first: UInt64 = 1
    private var last: UInt64 = 0
    private var wire: [Event] = []
    private var announcements: [Position] = []
    private var asked: ReplayRequest?
    private var expected: UInt64 = 1
    private var expectedEpoch: UInt64 = 1
    private(set) var problem: String?

    var head: Position { Position(epoch: self.epoch, seq: self.last) }

    init(seed: UInt64) { self.random = SeededGenerator(state: seed) }

    mutating func run(steps: Int) {
        // The first contact, at an empty log: everything after it counts.
        self.hear(self.follower.announced(self.head))
        self.answer()
        for _ in 0..<steps {
            switch Int.random(in: 0..<100, using: &self.random) {
            case 0..<45: self.commit()
            case 45..<75: self.receive()
            case 75..<82: self.announcements.append(self.head)
            case 82..<88:
                if !self.announcements.isEmpty { self.hear(self.follower.announced(self.announcements.removeFirst())) }
            case 88..<96: self.answer()
            case 96: self.fail()
            case 97: self.first = min(self.last + 1, self.first + UInt64.random(in: 0...20, using: &self.random))
            case 98 where Int.random(in: 0..<4, using: &self.random) == 0: self.reset()
            default: break
            }
        }
    }

    /// The bus is quiet, the publisher still announces.
    mutating func settle() {
        while !self.wire.isEmpty { self.receive() }
        for announcement in self.announcements { self.hear(self.follower.announced(announcement)) }
        for _ in 0..<20 {
            var turns = 0
            while self.asked != nil {
                self.answer()
                turns += 1
                if turns > 10_000 { return self.complain("it asks for ever") }
            }
            self.hear(self.follower.announced(self.head))
        }
    }

    private mutating func commit() {
        for _ in 0..<Int.random(in: 1...30, using: &self.random) {
            self.last += 1
            let event = Event.test(self.last, epoch: self.epoch)
            switch Int.random(in: 0..<20, using: &self.random) {
            case 0: break
            case 1: self.wire += [event, event]
            case 2:
                self.wire.insert(
                    event, at: Int.random(in: max(0, self.wire.count - 5)...self.wire.count, using: &self.random))
            default: self.wire.append(event)
            }
        }
    }

    private mutating func receive() {
        for _ in 0..<Int.random(in: 1...60, using: &self.random) where !self.wire.isEmpty {
            self.hear(self.follower.received(self.wire.removeFirst()))
        }
    }

    private mutating func answer() {
        guard let request = self.asked else { return }
        self.asked = nil
        let head = self.last
        if Bool.random(using: &self.random) { self.commit() }
        let after = request.epoch == self.epoch || request.epoch == nil ? request.after ?? 0 : 0
        // A publisher whose pages are smaller than the follower thinks.
        let limit = Bool.random(using: &self.random) ? request.limit : 7
        let low = max(after + 1, self.first)
        let events = low <= self.last ? (low...self.last).prefix(limit).map { Event.test($0, epoch: self.epoch) } : []
        let page = ReplayPage(epoch: self.epoch, oldest: self.first, head: head, events: Array(events))
        for action in self.follower.replayed(page) { self.hear(action) }
    }

    private mutating func fail() {
        guard self.asked != nil else { return }
        self.asked = nil
        self.follower.replayFailed()
    }

    private mutating func reset() {
        self.epoch += 1
        (self.first, self.last) = (1, 0)
    }

    private mutating func hear(_ action: LogFollower.Action) {
        switch action {
        case .nothing: break
        case .request(let request):
            if self.asked != nil { self.complain("two requests at once") }
            self.asked = request
        case .lost(let epoch, let from, let through):
            // A new log of which nothing has come yet is known from its beginning.
            if epoch > self.expectedEpoch { (self.expectedEpoch, self.expected) = (epoch, from) }
            if epoch != self.expectedEpoch || from != self.expected {
                self.complain("lost from \(from), expected \(self.expected)")
            }
            if epoch == self.epoch, through >= self.first {
                self.complain("\(through) was not lost, \(self.first) is there")
            }
            self.expected = through + 1
        case .deliver(let events):
            for case let position? in events.map(\.position) { self.deliver(position) }
        }
    }

    private mutating func deliver(_ position: Position) {
        if position.epoch > self.expectedEpoch {
            // Nothing is known of the new log, so its beginning is what retention has left of it.
            (self.expectedEpoch, self.expected) = (
                position.epoch, position.epoch == self.epoch ? self.first : position.seq
            )
        }
        if position != Position(epoch: self.expectedEpoch, seq: self.expected) {
            self.complain("\(position) came, expected \(self.expected) of epoch \(self.expectedEpoch)")
        }
        self.expected = position.seq + 1
    }

    private mutating func complain(_ problem: String) {
        if self.problem == nil { self.problem = problem }
    }
}
