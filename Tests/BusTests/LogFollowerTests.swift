import Events
import Testing

@testable import Bus

@Suite struct LogFollowerTests {
    private let start = ContinuousClock.now

    private func at(_ seq: UInt64, term: UInt64 = 1, epoch: UInt64 = 1) -> Position {
        Position(epoch: epoch, term: term, seq: seq)
    }

    /// A page that continues, unless it says otherwise.
    private func page(
        _ seqs: ClosedRange<UInt64>?, after: UInt64, head: Position, isContinuation: Bool = true
    ) -> ReplayPage {
        ReplayPage(
            head: head, after: after, isContinuation: isContinuation,
            events: (seqs.map(Array.init) ?? []).map { .test($0, epoch: head.epoch, term: head.term) })
    }

    private func follower(at position: Position) -> LogFollower {
        var follower = LogFollower(start: self.start)
        _ = follower.start()
        _ = follower.request(at: self.start)
        _ = follower.replayed(self.page(nil, after: position.seq, head: position, isContinuation: false))
        return follower
    }

    private func deliver(_ seqs: ClosedRange<UInt64>, isRepaired: Bool = false, term: UInt64 = 1)
        -> LogFollower.Action
    {
        .deliver(seqs.map { .test($0, term: term) }, isRepaired: isRepaired)
    }

    @Test func `the first contact is made before anything is heard`() {
        var follower = LogFollower(start: self.start)
        #expect(follower.start() == .ask)
        let request = follower.request(at: self.start + .seconds(2))
        // Until now, and for as long as the answer may take.
        #expect(request == ReplayRequest(after: nil, ago: 7000, limit: LogFollower.pageSize))
        #expect(follower.position == nil)
        #expect(follower.received(.test(10), sentAfter: self.start) == [])
        let page = self.page(8...9, after: 7, head: self.at(9), isContinuation: false)
        #expect(follower.replayed(page) == [self.deliver(8...9, isRepaired: true), self.deliver(10...10)])
        #expect(follower.position == self.at(10))
    }

    @Test func `a log without anything new is followed from its head`() {
        var follower = self.follower(at: self.at(40))
        #expect(follower.received(.test(41), sentAfter: self.start) == [self.deliver(41...41)])
    }

    @Test func `transient events pass at any time`() {
        var follower = LogFollower(start: self.start)
        _ = follower.start()
        let passed = LogFollower.Action.deliver([.test(nil)], isRepaired: false)
        #expect(follower.received(.test(nil), sentAfter: self.start) == [passed])
        _ = follower.received(.test(3), sentAfter: self.start)
        #expect(follower.received(.test(nil), sentAfter: self.start) == [passed])
    }

    @Test func `a gap is repaired, and what came behind it waits`() {
        var follower = self.follower(at: self.at(5))
        #expect(follower.received(.test(8), sentAfter: self.start) == [.ask])
        #expect(follower.request(at: self.start).after == self.at(5))
        #expect(follower.received(.test(7), sentAfter: self.start) == [])
        #expect(
            follower.replayed(self.page(6...7, after: 5, head: self.at(7)))
                == [self.deliver(6...7, isRepaired: true), self.deliver(8...8)])
    }

    @Test func `an announced tail is asked for`() {
        var follower = self.follower(at: self.at(5))
        #expect(follower.announced(self.at(6), sentAfter: self.start) == [.ask])
        #expect(
            follower.replayed(self.page(6...6, after: 5, head: self.at(6))) == [self.deliver(6...6, isRepaired: true)])
        #expect(follower.announced(self.at(6), sentAfter: self.start) == [])
    }

    @Test func `a page that reaches beyond its head delivers nothing twice`() {
        var follower = self.follower(at: self.at(5))
        _ = follower.received(.test(7), sentAfter: self.start)
        _ = follower.received(.test(8), sentAfter: self.start)
        #expect(
            follower.replayed(self.page(6...8, after: 5, head: self.at(6))) == [self.deliver(6...8, isRepaired: true)])
        #expect(follower.received(.test(9), sentAfter: self.start) == [self.deliver(9...9)])
    }

    @Test func `an announcement that an event has overtaken does not move the position back`() {
        var follower = self.follower(at: self.at(5))
        _ = follower.received(.test(6), sentAfter: self.start)
        for _ in 0..<3 { #expect(follower.announced(self.at(5), sentAfter: self.start) == []) }
        #expect(follower.received(.test(7), sentAfter: self.start) == [self.deliver(7...7)])
        #expect(follower.position == self.at(7))
    }

    @Test func `a short page is followed by another request`() {
        var follower = self.follower(at: self.at(0))
        _ = follower.announced(self.at(4), sentAfter: self.start)
        #expect(
            follower.replayed(self.page(1...2, after: 0, head: self.at(4)))
                == [self.deliver(1...2, isRepaired: true), .ask])
        #expect(follower.request(at: self.start).after == self.at(2))
    }

    @Test func `what retention has dropped is reported as lost`() {
        var follower = self.follower(at: self.at(5))
        _ = follower.announced(self.at(20), sentAfter: self.start)
        #expect(
            follower.replayed(self.page(19...20, after: 5, head: self.at(20)))
                == [.lost(epoch: 1, 6...18), self.deliver(19...20, isRepaired: true)])
    }

    // MARK: logs that go back or are replaced

    @Test func `when a new term begins before its place, it goes back and hears what took the lost numbers`() {
        var follower = self.follower(at: self.at(50))
        _ = follower.received(.test(51), sentAfter: self.start)
        // The tail from 42 on is gone; 43 events of the new term were written, two of them heard.
        #expect(follower.received(.test(43, term: 2), sentAfter: self.start) == [.ask])
        #expect(follower.request(at: self.start).after == self.at(51))
        _ = follower.received(.test(44, term: 2), sentAfter: self.start)
        #expect(
            follower.replayed(self.page(42...43, after: 41, head: self.at(43, term: 2)))
                == [
                    .wentBack(from: self.at(51), to: 41), self.deliver(42...43, isRepaired: true, term: 2),
                    self.deliver(44...44, term: 2),
                ])
        #expect(follower.position == self.at(44, term: 2))
    }

    @Test func `a new term is asked for when it is announced, and costs nothing but that where nothing was lost`() {
        var follower = self.follower(at: self.at(50))
        #expect(follower.announced(self.at(50, term: 2), sentAfter: self.start) == [.ask])
        #expect(follower.replayed(self.page(nil, after: 50, head: self.at(50, term: 2))) == [])
        #expect(follower.received(.test(51, term: 2), sentAfter: self.start) == [self.deliver(51...51, term: 2)])
    }

    @Test func `an event of the next term that comes while a page is on its way is not dropped`() {
        var follower = self.follower(at: self.at(5))
        _ = follower.announced(self.at(6), sentAfter: self.start)
        _ = follower.request(at: self.start)
        #expect(follower.received(.test(7, term: 2), sentAfter: self.start) == [])
        // The page was read before that term began.
        #expect(
            follower.replayed(self.page(6...6, after: 5, head: self.at(6)))
                == [self.deliver(6...6, isRepaired: true), .ask])
        _ = follower.request(at: self.start)
        #expect(
            follower.replayed(self.page(nil, after: 6, head: self.at(6, term: 2))) == [self.deliver(7...7, term: 2)])
    }

    @Test func `a late event of an old term costs one request, and nothing is lost`() {
        var follower = self.follower(at: self.at(5, term: 2))
        #expect(follower.received(.test(80), sentAfter: self.start) == [.ask])
        _ = follower.request(at: self.start)
        #expect(follower.replayed(self.page(nil, after: 5, head: self.at(5, term: 2))) == [])
        #expect(follower.received(.test(6, term: 2), sentAfter: self.start) == [self.deliver(6...6, term: 2)])
    }

    @Test func `another log is followed from the last contact on, and nothing of it is delivered twice`() {
        var follower = self.follower(at: self.at(5))
        for seq: UInt64 in 6...8 { _ = follower.received(.test(seq), sentAfter: self.start + .seconds(60)) }
        #expect(follower.announced(self.at(10, term: 2, epoch: 9), sentAfter: self.start) == [.ask])
        let request = follower.request(at: self.start + .seconds(61))
        #expect(request == ReplayRequest(after: self.at(8), ago: 6000, limit: LogFollower.pageSize))
        // It is the same log with another epoch: it has what was delivered, and two more.
        var page = self.page(7...10, after: 6, head: self.at(10, term: 2, epoch: 9), isContinuation: false)
        for index in 0...1 { page.events[index].id = Event.test(UInt64(7 + index)).id }
        #expect(
            follower.replayed(page)
                == [
                    .changedLog(from: self.at(8), to: page.head),
                    .deliver(Array(page.events[2...]), isRepaired: true),
                ])
        #expect(follower.position == page.head)
    }

    @Test func `what was delivered is remembered over all pages of another log`() {
        var follower = self.follower(at: self.at(0))
        for seq: UInt64 in 1...4 { _ = follower.received(.test(seq), sentAfter: self.start) }
        _ = follower.announced(self.at(5, epoch: 2), sentAfter: self.start)
        let head = self.at(5, epoch: 2)
        var delivered: [UInt64] = []
        for seqs: ClosedRange<UInt64> in [1...2, 3...4, 5...5] {
            _ = follower.request(at: self.start)
            var page = self.page(seqs, after: seqs.lowerBound - 1, head: head, isContinuation: seqs.lowerBound > 1)
            for index in page.events.indices where seqs.upperBound < 5 {
                page.events[index].id = Event.test(seqs.lowerBound + UInt64(index)).id
            }
            for case .deliver(let events, _) in follower.replayed(page) {
                delivered += events.compactMap { $0.position?.seq }
            }
        }
        #expect(delivered == [5])
    }

    @Test func `the last contact is when it last had everything, not when it last heard something`() {
        var follower = self.follower(at: self.at(5))
        func ago(_ seconds: Int64) -> Int64 {
            follower.request(at: self.start + .seconds(seconds)).ago - LogFollower.replayTimeout.milliseconds
        }
        _ = follower.received(.test(6), sentAfter: self.start + .seconds(10))
        #expect(ago(15) == 5000)
        _ = follower.announced(self.at(6), sentAfter: self.start + .seconds(20))
        #expect(ago(25) == 5000)
        // An announcement that was overtaken, a gap, and pages that do not reach the end say nothing.
        _ = follower.announced(self.at(5), sentAfter: self.start + .seconds(30))
        _ = follower.received(.test(9), sentAfter: self.start + .seconds(30))
        #expect(ago(30) == 10_000)
        _ = follower.replayed(self.page(7...7, after: 6, head: self.at(10)))
        #expect(ago(40) == 20_000)
        // A page that does tells of the moment at which it was asked for.
        _ = follower.replayed(self.page(8...10, after: 7, head: self.at(10)))
        #expect(ago(50) == 10_000)
    }

    @Test func `a log out of reach is not a log of epoch 0`() {
        var follower = self.follower(at: self.at(5))
        #expect(follower.announced(self.at(0, term: 0, epoch: 0), sentAfter: self.start) == [])
        #expect(follower.received(.test(6), sentAfter: self.start) == [self.deliver(6...6)])
    }

    // MARK: failures and bounds

    @Test func `a page that does not come is asked for until it does`() {
        var follower = self.follower(at: self.at(5))
        _ = follower.received(.test(7), sentAfter: self.start)
        _ = follower.request(at: self.start)
        follower.replayFailed()
        // It waits in the log, and no other request is made meanwhile.
        #expect(follower.received(.test(8), sentAfter: self.start) == [])
        #expect(follower.request(at: self.start).after == self.at(5))
        #expect(
            follower.replayed(self.page(6...7, after: 5, head: self.at(7)))
                == [self.deliver(6...7, isRepaired: true), self.deliver(8...8)])
    }

    @Test(arguments: [(LogFollower.pendingMax + 2000, 2), (100, 200_000)])
    func `what waits during a repair is bounded, and comes from the log`(count: Int, bytes: Int) {
        var follower = self.follower(at: self.at(0))
        let count = UInt64(count)
        let data = [UInt8](repeating: 0, count: bytes)
        for seq in 2...count { _ = follower.received(.test(seq, data: data), sentAfter: self.start) }
        _ = follower.request(at: self.start)
        var delivered: [UInt64] = []
        var kept = 0
        var answer = follower.replayed(self.page(1...1, after: 0, head: self.at(count)))
        while true {
            for case .deliver(let events, let isRepaired) in answer {
                delivered += events.compactMap { $0.position?.seq }
                kept += isRepaired ? 0 : events.count
            }
            guard answer.last == .ask else { break }
            let request = follower.request(at: self.start)
            let after = request.after?.seq ?? 0
            let seqs = after + 1...min(count, after + UInt64(request.limit))
            answer = follower.replayed(self.page(seqs, after: after, head: self.at(count)))
        }
        #expect(delivered == Array(1...count))
        #expect(kept <= LogFollower.pendingMax && (kept - 1) * bytes < LogFollower.pendingBytesMax)
    }

    @Test func `numbers at the end of their range do not trap`() {
        var follower = self.follower(at: self.at(.max))
        _ = follower.received(.test(3), sentAfter: self.start)
        _ = follower.announced(self.at(0), sentAfter: self.start)
        _ = follower.replayed(self.page(nil, after: .max, head: self.at(.max)))
        #expect(follower.position == self.at(.max))
    }

    @Test func `more ids than it keeps push out the oldest`() {
        var recent = RecentEvents()
        for number in 0..<UInt64(RecentEvents.max + 10) { recent.insert(ULID(high: 0, low: number)) }
        let ids = recent.set
        #expect(ids.count == RecentEvents.max)
        #expect(!ids.contains(ULID(high: 0, low: 9)) && ids.contains(ULID(high: 0, low: 10)))
    }

    @Test(arguments: 0..<100 as Range<UInt64>)
    func `whatever happens to the bus and the log, its events arrive in order, once, and completely`(seed: UInt64) {
        var plant = LogPlant(seed: seed)
        plant.run(steps: 400)
        plant.settle()
        #expect(plant.problem == nil)
    }

    @Test func `in those runs the log goes back, and becomes another one`() {
        var (rewinds, changes) = (0, 0)
        for seed in 0..<20 as Range<UInt64> {
            var plant = LogPlant(seed: seed)
            plant.run(steps: 400)
            rewinds += plant.rewinds
            changes += plant.changes
        }
        #expect(rewinds > 10 && changes > 10)
    }
}
