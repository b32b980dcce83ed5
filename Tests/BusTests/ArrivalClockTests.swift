import Testing

@testable import Bus

@Suite struct ArrivalClockTests {
    private let start = ContinuousClock.now

    private func moment(_ milliseconds: Int) -> ContinuousClock.Instant { self.start + .milliseconds(milliseconds) }

    @Test func `what comes while the socket is watched has just arrived`() {
        var clock = ArrivalClock(at: self.start)
        clock.waited(until: self.moment(200))
        #expect(clock.earliest == self.moment(200))
        clock.foundEmpty(at: self.moment(201))
        // The wait ended at its timeout, and a little late.
        clock.waited(until: self.moment(590))
        #expect(clock.earliest == self.moment(590))
    }

    @Test func `what is found after a stop may be as old as the last look before it`() {
        var clock = ArrivalClock(at: self.start)
        clock.foundEmpty(at: self.moment(100))
        clock.waited(until: self.moment(9000))
        #expect(clock.earliest == self.moment(100))
        // The library has not taken it in yet.
        clock.foundEmpty(at: self.moment(9001))
        clock.waited(until: self.moment(9050))
        #expect(clock.earliest == self.moment(100))
        clock.foundEmpty(at: self.moment(9051))
        clock.waited(until: self.moment(9300))
        #expect(clock.earliest == self.moment(9300))
    }

    @Test func `a stop between the wait and the look is noticed`() {
        var clock = ArrivalClock(at: self.start)
        clock.waited(until: self.moment(100))
        clock.foundEmpty(at: self.moment(5000))
        clock.waited(until: self.moment(5010))
        #expect(clock.earliest == self.moment(100))
    }

    @Test func `a machine that is always late makes messages older by one wait, not by all`() {
        var clock = ArrivalClock(at: self.start)
        for turn in 1...20 {
            clock.waited(until: self.moment(turn * 600))
            #expect(clock.earliest >= self.moment((turn - 1) * 600))
            clock.foundEmpty(at: self.moment(turn * 600 + 1))
        }
    }

    @Test func `what was left unread ages until the socket was empty once`() {
        var clock = ArrivalClock(at: self.start)
        clock.waited(until: self.moment(100))
        clock.stoppedReading(at: self.moment(101))
        clock.waited(until: self.moment(200))
        #expect(clock.earliest == self.moment(100))
        clock.foundEmpty(at: self.moment(210))
        clock.waited(until: self.moment(300))
        #expect(clock.earliest == self.moment(300))
    }
}
