import Bus
import Dialects
import Events
import Testing
import WebSockets

@testable import Gateway

/// What a client that comes from another gateway is told, and what not again.
@Suite struct CatchUpTests {
    private let issued = Timestamp(milliseconds: 1_700_000_001_500)
    private let came = ContinuousClock.now

    private func event(
        _ seq: UInt64, epoch: UInt64 = 1, term: UInt64 = 1, of publisher: ServiceName = .obsBridge, id: ULID = ULID()
    ) -> Event {
        Event(
            id: id, type: "sources.create", tenant: "t", room: "",
            position: Position(epoch: epoch, term: term, seq: seq), publisher: publisher, time: self.issued, data: [])
    }

    private func position(_ seq: UInt64, epoch: UInt64 = 1, term: UInt64 = 1) -> Position {
        Position(epoch: epoch, term: term, seq: seq)
    }

    /// - Parameters:
    ///   - told: up to where the token says; of the publishers that are not named here, everything that came.
    ///   - here: up to where events have come to this gateway.
    private func catchUp(
        _ told: [ServiceName: Position?], here: [ServiceName: Position?], heard: Set<ServiceName> = [],
        listensFor: Duration = .seconds(-60)
    ) -> CatchUp {
        let level = Dictionary(uniqueKeysWithValues: ServiceName.publishers.map { ($0, Optional(self.position(9))) })
        return CatchUp(
            told: level.merging(told) { $1 }.compactMapValues { $0 }, issued: self.issued,
            here: CatchUp.Here(
                positions: level.merging(here) { $1 }.compactMapValues { $0 }, heard: heard,
                listensSince: self.issued - listensFor), at: self.came)
    }

    /// The page that answers the client's next question to a publisher.
    private func page(
        _ catchUp: CatchUp, _ events: [Event], head: Position, after: UInt64? = nil, isContinuation: Bool = true,
        of publisher: ServiceName = .obsBridge, asked seconds: Int = 1
    ) throws -> LogPage {
        let key = try #require(catchUp.key(of: publisher))
        return LogPage(
            ReplayPage(
                head: head, after: after ?? key.after?.seq ?? 0, isContinuation: isContinuation, events: events),
            ReplayPages.Question(key: key, moment: catchUp.moment, askedAt: self.came + .seconds(seconds)))
    }

    private func numbers(_ step: CatchUp.Step, _ page: LogPage) -> [UInt64] {
        (page.content.events.suffix(step.fresh) + step.waited).compactMap { $0.position?.seq }
    }

    private func take(_ page: LogPage, _ catchUp: inout CatchUp) throws -> [UInt64] {
        try #require(catchUp.accepts(page))
        return self.numbers(catchUp.take(page, at: self.came + .seconds(1)), page)
    }

    // MARK: which logs

    @Test func `nothing is read of a publisher of which the client knows all that came here`() {
        let told: [ServiceName: Position?] = [.obsBridge: self.position(5)]
        #expect(self.catchUp(told, here: [.obsBridge: self.position(5)]).isComplete)
        #expect(self.catchUp(told, here: [.obsBridge: self.position(6)]).due == [.obsBridge])
        // Told more than has come here: the log may have lost it meanwhile, and number anew.
        #expect(self.catchUp(told, here: [.obsBridge: self.position(4)]).due == [.obsBridge])
    }

    @Test func `all publishers of which something is missing are read side by side`() throws {
        var catchUp = self.catchUp(
            [.obsBridge: self.position(5), .radioPlayout: self.position(5)],
            here: [.obsBridge: nil, .radioPlayout: self.position(7)])
        #expect(Set(catchUp.due) == [.obsBridge, .radioPlayout])
        catchUp.asks(.obsBridge, at: self.came)
        #expect(catchUp.due == [.radioPlayout])
        // The one that answers is told at once, and waits no longer for the one that does not.
        let page = try self.page(
            catchUp, [self.event(6, of: .radioPlayout), self.event(7, of: .radioPlayout)], head: self.position(7),
            of: .radioPlayout)
        #expect(try self.take(page, &catchUp) == [6, 7])
        let next = catchUp.holdsBack(self.event(8, of: .radioPlayout))
        #expect(!next)
        #expect(catchUp.due.isEmpty && !catchUp.isComplete)
    }

    @Test func `nothing is missing of a publisher that neither gateway has ever been in contact with`() {
        #expect(self.catchUp([.obsBridge: nil], here: [.obsBridge: nil]).isComplete)
        // One that is heard may have said something before this gateway began to listen, but not if that was before the token.
        let heard: Set<ServiceName> = [.obsBridge]
        #expect(self.catchUp([.obsBridge: nil], here: [.obsBridge: nil], heard: heard).due == [.obsBridge])
        #expect(
            self.catchUp([.obsBridge: nil], here: [.obsBridge: nil], heard: heard, listensFor: .seconds(60)).isComplete)
        // What either gateway has been in contact with is read.
        #expect(self.catchUp([.obsBridge: self.position(5)], here: [.obsBridge: nil]).due == [.obsBridge])
        #expect(self.catchUp([.obsBridge: nil], here: [.obsBridge: self.position(5)]).due == [.obsBridge])
    }

    @Test func `a publisher of which the other gateway knew nothing is read from the token's moment on`() throws {
        let catchUp = self.catchUp([.obsBridge: nil], here: [.obsBridge: self.position(3)])
        let key = try #require(catchUp.key(of: .obsBridge))
        #expect(key.after == nil && key.moment == catchUp.moment)
        let request = catchUp.request(for: key, at: self.issued + .seconds(20))
        #expect(request.after == nil)
        // From the token's moment or up to two seconds earlier, with five for clocks that differ and five for the answer.
        #expect((30_000...32_000).contains(request.ago))
    }

    // MARK: reading

    @Test func `what the client lacks is read from where it was, page by page, and comes once`() throws {
        var catchUp = self.catchUp([.obsBridge: self.position(5)], here: [.obsBridge: self.position(8)])
        #expect(catchUp.key(of: .obsBridge)?.after == self.position(5))
        let first = try self.page(catchUp, [self.event(6), self.event(7)], head: self.position(9))
        #expect(try self.take(first, &catchUp) == [6, 7])
        #expect(catchUp.key(of: .obsBridge)?.after == self.position(7))
        #expect(!catchUp.accepts(first), "the same page again")
        let second = try self.page(catchUp, [self.event(8), self.event(9)], head: self.position(9))
        #expect(try self.take(second, &catchUp) == [8, 9])
        #expect(catchUp.isComplete)
        // What the bus brings afterwards was told up to there.
        let isHeld = [8, 9, 10, 11].map { catchUp.holdsBack(self.event($0)) }
        #expect(isHeld == [true, true, false, false])
        #expect(!catchUp.replayed(self.event(5)))
        #expect(catchUp.replayed(self.event(6)))
    }

    @Test func `what a publisher makes while its log is read waits, and comes once`() throws {
        var catchUp = self.catchUp([.obsBridge: self.position(5)], here: [.obsBridge: self.position(8)])
        let waiting = (9...11).map { self.event(UInt64($0)) }
        let held = waiting.map { catchUp.holdsBack($0) }
        #expect(held == [true, true, true])
        #expect(catchUp.isWaiting(waiting[2]))
        // Telemetry, and what others make, waits for nothing.
        var measured = self.event(1)
        measured.position = nil
        let isHeld = [measured, self.event(10, of: .radioPlayout)].map { catchUp.holdsBack($0) }
        #expect(isHeld == [false, false])
        let page = try self.page(catchUp, (6...9).map { self.event($0) }, head: self.position(9))
        #expect(try self.take(page, &catchUp) == [6, 7, 8, 9, 10, 11])
        #expect(!catchUp.isWaiting(waiting[2]))
        let again = catchUp.holdsBack(self.event(11))
        #expect(again)
    }

    @Test func `when more comes than may wait, the log is read until it has all that`() throws {
        var catchUp = self.catchUp([.obsBridge: self.position(0)], here: [.obsBridge: self.position(1)])
        for seq in 2...1500 { _ = catchUp.holdsBack(self.event(UInt64(seq))) }
        let first = try self.page(catchUp, [self.event(1)], head: self.position(1), asked: 0)
        #expect(try self.take(first, &catchUp) == [1])
        #expect(!catchUp.isComplete)
        // A page from before the flood does not help.
        let old = try self.page(catchUp, [], head: self.position(1), asked: 0)
        #expect(!catchUp.accepts(old))
        let rest = try self.page(catchUp, (2...1500).map { self.event($0) }, head: self.position(1500), asked: 2)
        #expect(try self.take(rest, &catchUp).count == 1499)
        #expect(catchUp.isComplete)
    }

    // MARK: kept pages

    @Test func `a kept page is used as far as it goes, and never taken for the end`() throws {
        var catchUp = self.catchUp([.obsBridge: self.position(5)], here: [.obsBridge: self.position(8)])
        // Read for another client, before this one came and before 7 and 8 happened.
        let short = try self.page(catchUp, [self.event(6)], head: self.position(6), asked: -20)
        #expect(try self.take(short, &catchUp) == [6])
        #expect(!catchUp.isComplete)
        let empty = try self.page(catchUp, [], head: self.position(6), asked: -20)
        #expect(!catchUp.accepts(empty))
        // It is level as soon as it has what had come here, however old the page.
        let other = try self.page(catchUp, [self.event(7), self.event(8)], head: self.position(8), asked: -10)
        #expect(try self.take(other, &catchUp) == [7, 8])
        #expect(catchUp.isComplete)
    }

    @Test func `where this gateway has heard of another term than the page, the log is asked anew`() throws {
        var catchUp = self.catchUp([.obsBridge: self.position(5)], here: [.obsBridge: self.position(8, term: 2)])
        let kept = try self.page(catchUp, [self.event(6)], head: self.position(6), asked: -20)
        #expect(try self.take(kept, &catchUp) == [6])
        // The log stands at 9 of term 1 for all that this page knows: more than 8, but of another term.
        let other = try self.page(
            catchUp, [self.event(7), self.event(8), self.event(9)], head: self.position(9), asked: -10)
        #expect(try self.take(other, &catchUp) == [7, 8, 9])
        #expect(!catchUp.isComplete)
        // Two of those were lost with the failover, and their numbers came again.
        let new = try self.page(catchUp, [self.event(8, term: 2)], head: self.position(8, term: 2), after: 7)
        #expect(try self.take(new, &catchUp) == [8])
        #expect(catchUp.isComplete)
        let isHeld = catchUp.holdsBack(self.event(9, term: 2))
        #expect(!isHeld)
    }

    @Test func `a page of a log that does not know the position is good only for the same moment`() throws {
        var catchUp = self.catchUp([.obsBridge: self.position(50)], here: [.obsBridge: self.position(200, epoch: 2)])
        let key = try #require(catchUp.key(of: .obsBridge))
        let content = ReplayPage(
            head: self.position(200, epoch: 2), after: 149, isContinuation: false, events: [self.event(150, epoch: 2)])
        // Another client asked, whose token is two seconds older.
        let others = LogPage(
            content, ReplayPages.Question(key: key, moment: catchUp.moment - .seconds(2), askedAt: self.came))
        #expect(!catchUp.accepts(others))
        catchUp.asks(.obsBridge, at: self.came)
        let mayAsk = catchUp.recordUnanswered(.obsBridge, others, at: self.came)
        #expect(mayAsk)
        let own = try #require(catchUp.key(of: .obsBridge))
        #expect(own.moment == catchUp.moment)
        #expect(catchUp.request(for: own, at: self.issued).after == self.position(50))
        let page = LogPage(content, ReplayPages.Question(key: own, moment: catchUp.moment, askedAt: self.came))
        #expect(try self.take(page, &catchUp) == [150])
        #expect(catchUp.key(of: .obsBridge)?.after == self.position(150, epoch: 2))
        let last = try self.page(catchUp, [self.event(200, epoch: 2)], head: self.position(200, epoch: 2))
        #expect(try self.take(last, &catchUp) == [200])
        #expect(catchUp.isComplete)
    }

    @Test func `an event that the bus brings in another term than the log is known by its id`() throws {
        var catchUp = self.catchUp([.obsBridge: self.position(5)], here: [.obsBridge: self.position(6)])
        let (six, seven) = (self.event(6, term: 2), self.event(7, term: 2))
        let held = [self.event(7, id: seven.id), self.event(8)].map { catchUp.holdsBack($0) }
        #expect(held == [true, true])
        // The later term's log is all that is left of the earlier one; 8 is lost.
        let page = try self.page(catchUp, [six, seven], head: self.position(7, term: 2))
        let step = catchUp.take(page, at: self.came)
        #expect(step.fresh == 2 && step.waited.isEmpty)
        // Of a term that comes after the page's, the bus may bring what was in the page.
        let later = [self.event(7, term: 3, id: seven.id), self.event(8, term: 3)].map { catchUp.holdsBack($0) }
        #expect(later == [true, false])
    }

    @Test func `what the log no longer has is said`() throws {
        var catchUp = self.catchUp([.obsBridge: self.position(5)], here: [.obsBridge: self.position(9)])
        let page = try self.page(catchUp, [self.event(9)], head: self.position(9))
        #expect(catchUp.take(page, at: self.came).isIncomplete)
    }

    // MARK: deadlines

    @Test func `a publisher may owe an answer for ten seconds, and each page begins them anew`() throws {
        var catchUp = self.catchUp([.obsBridge: self.position(5)], here: [.obsBridge: nil])
        func fail(_ seconds: Int) -> Bool {
            catchUp.asks(.obsBridge, at: self.came + .seconds(seconds))
            return catchUp.recordUnanswered(.obsBridge, nil, at: self.came + .seconds(seconds))
        }
        #expect([0, 4, 9].map(fail) == [true, true, true])
        catchUp.asks(.obsBridge, at: self.came + .seconds(9))
        let page = try self.page(catchUp, [self.event(6)], head: self.position(8), asked: 9)
        #expect(try self.take(page, &catchUp) == [6])
        #expect([12, 16, 21, 22].map(fail) == [true, true, true, false])
        // A client that nothing of it concerns goes on, and what came meanwhile is not lost.
        let isHeld = catchUp.holdsBack(self.event(9))
        #expect(isHeld)
        #expect(catchUp.pass(.obsBridge).count == 1)
        #expect(catchUp.isComplete)
    }
}

/// The pages that a loop keeps.
@Suite struct ReplayPagesTests {
    private let now = ContinuousClock.now

    private func page(_ key: ReplayPages.Key, bytes: Int = 10, asked seconds: Int = 0) -> LogPage {
        let event = Event(
            id: ULID(), type: "sources.create", tenant: "t", room: "",
            position: Position(epoch: 1, term: 1, seq: (key.after?.seq ?? 0) + 1), publisher: .obsBridge, time: .now,
            data: [UInt8](repeating: 32, count: bytes))
        return LogPage(
            ReplayPage(
                head: Position(epoch: 1, term: 1, seq: 1000), after: key.after?.seq ?? 0, isContinuation: true,
                events: [event]),
            ReplayPages.Question(key: key, moment: .now, askedAt: self.now + .seconds(seconds)))
    }

    private func key(_ seq: UInt64) -> ReplayPages.Key {
        ReplayPages.Key(publisher: .obsBridge, after: Position(epoch: 1, term: 1, seq: seq), moment: nil)
    }

    @Test func `whoever wants what was asked for already waits for the same answer`() {
        var pages = ReplayPages()
        let ids = (0..<3).map { _ in ConnectionID.next() }
        let isFirst = [pages.wait(ids[0], for: self.key(1)), pages.wait(ids[1], for: self.key(1))]
        #expect(isFirst == [true, false])
        let isOther = pages.wait(ids[2], for: self.key(2))
        #expect(isOther)
        #expect(pages.answered(self.key(1)) == [ids[0], ids[1]])
        #expect(pages.answered(self.key(1)).isEmpty)
    }

    @Test func `pages are kept for two minutes`() {
        var pages = ReplayPages()
        pages.keep(self.page(self.key(1)), as: self.key(1))
        pages.keep(self.page(self.key(2), asked: 60), as: self.key(2))
        pages.removeExpired(at: self.now + .seconds(121))
        #expect(pages[self.key(1)] == nil && pages[self.key(2)] != nil)
    }

    @Test func `the oldest go when all together are too large`() {
        var pages = ReplayPages()
        let size = ReplayPages.bytesMax / 8
        for seq in UInt64(1)...10 {
            pages.keep(self.page(self.key(seq), bytes: size, asked: Int(seq)), as: self.key(seq))
        }
        // Each counts twice: its events, and what clients are sent of them.
        #expect((1...10).filter { pages[self.key($0)] != nil } == [8, 9, 10])
        // A page that takes another's place frees it.
        pages.keep(self.page(self.key(10), bytes: 10, asked: 11), as: self.key(10))
        pages.keep(self.page(self.key(11), bytes: size, asked: 12), as: self.key(11))
        #expect(pages.count == 4)
    }
}
