import Dialects
import Events
import Testing

@testable import Gateway

/// What a client that comes from another gateway is told, and what not again.
@Suite struct CatchUpTests {
    private let since = Timestamp.now

    private func event(_ seq: UInt64, epoch: UInt64 = 1, at time: Timestamp? = nil) -> Event {
        Event(
            id: ULID(), type: "sources.create", tenant: "t", room: "", position: Position(epoch: epoch, seq: seq),
            publisher: .obsBridge, time: time ?? self.since, data: [])
    }

    private func position(_ seq: UInt64, epoch: UInt64 = 1) -> [ServiceName: Position] {
        [.obsBridge: Position(epoch: epoch, seq: seq)]
    }

    private func catchUp(_ told: [ServiceName: Position], known: [ServiceName: Position]) -> CatchUp {
        let others = ServiceName.publishers.filter { $0 != .obsBridge }
        let elsewhere = Dictionary(uniqueKeysWithValues: others.map { ($0, Position(epoch: 9, seq: 9)) })
        return CatchUp(
            positions: told.merging(elsewhere) { own, _ in own }, since: self.since,
            known: known.merging(elsewhere) { own, _ in own })
    }

    @Test func `nothing is read of a publisher of which the client knows all that came here`() {
        for known: UInt64 in [5, 4] { #expect(self.catchUp(self.position(5), known: self.position(known)).next == nil) }
    }

    @Test func `what the client lacks is read from where it was, page by page`() throws {
        var catchUp = self.catchUp(self.position(5), known: self.position(8))
        #expect(catchUp.next?.publisher == .obsBridge)
        #expect(catchUp.next?.request.after == 5)
        let first = catchUp.take([self.event(6), self.event(7)], epoch: 1, head: 9, of: .obsBridge)
        #expect(first.map { $0.position?.seq } == [6, 7])
        #expect(catchUp.next?.request.after == 7)
        let second = catchUp.take([self.event(8), self.event(9)], epoch: 1, head: 9, of: .obsBridge)
        #expect(second.count == 2)
        #expect(catchUp.next == nil && catchUp.isComplete)
        // What the bus brings afterwards was told up to there.
        let isHeld1 = catchUp.holdsBack(self.event(9))
        #expect(isHeld1)
        let isHeld2 = catchUp.holdsBack(self.event(10))
        #expect(!isHeld2)
        #expect(!catchUp.replayed(self.event(5)))
        #expect(catchUp.replayed(self.event(6)))
    }

    @Test func `what a publisher makes while its log is read waits, and comes once`() {
        var catchUp = self.catchUp(self.position(5), known: self.position(8))
        let waiting = (8...11).map { self.event(UInt64($0)) }
        let held = waiting.map { catchUp.holdsBack($0) }
        #expect(held == [true, true, true, true])
        #expect(catchUp.isWaiting(waiting[3]))
        // Telemetry, and what others make, waits for nothing.
        var measured = self.event(1)
        measured.position = nil
        let isHeld3 = catchUp.holdsBack(measured)
        #expect(!isHeld3)
        var other = self.event(10, epoch: 9)
        other.publisher = .radioPlayout
        let isHeld4 = catchUp.holdsBack(other)
        #expect(!isHeld4)
        let told = catchUp.take((6...9).map { self.event(UInt64($0)) }, epoch: 1, head: 9, of: .obsBridge)
        #expect(told.map { $0.position?.seq } == [6, 7, 8, 9, 10, 11])
        #expect(!catchUp.isWaiting(waiting[3]))
        let isHeld5 = catchUp.holdsBack(self.event(11))
        #expect(isHeld5)
    }

    @Test func `when more comes than may wait, the log is read on until it is all there`() {
        var catchUp = self.catchUp(self.position(0), known: self.position(1))
        for seq in 2...1500 { _ = catchUp.holdsBack(self.event(UInt64(seq))) }
        #expect(catchUp.take([self.event(1)], epoch: 1, head: 1, of: .obsBridge).count == 1)
        #expect(catchUp.next?.request.after == 1)
        let rest = (2...1500).map { self.event(UInt64($0)) }
        #expect(catchUp.take(rest, epoch: 1, head: 1500, of: .obsBridge).count == 1499)
        #expect(catchUp.isComplete)
    }

    @Test func `a publisher of which the other gateway knew nothing is read from the token's moment on`() {
        let catchUp = self.catchUp([:], known: self.position(3))
        #expect(catchUp.next?.request.after == nil)
        #expect(catchUp.next?.request.since == self.since)
    }

    @Test func `a log that was replaced is asked for what came after the token, page by page`() {
        var catchUp = self.catchUp(self.position(50), known: self.position(3, epoch: 2))
        #expect(catchUp.take([self.event(1, epoch: 2)], epoch: 2, head: 200, of: .obsBridge).isEmpty)
        #expect(catchUp.next?.request.since == self.since)
        #expect(catchUp.take([self.event(150, epoch: 2)], epoch: 2, head: 200, of: .obsBridge).count == 1)
        #expect(catchUp.next?.request.after == 150)
        #expect(catchUp.take([self.event(200, epoch: 2)], epoch: 2, head: 200, of: .obsBridge).count == 1)
        #expect(catchUp.isComplete)
    }

    @Test func `an empty page ends the reading, and so does giving up, and nothing that waited is lost`() {
        var catchUp = self.catchUp(self.position(5), known: self.position(8))
        #expect(catchUp.take([], epoch: 1, head: 8, of: .obsBridge).isEmpty)
        #expect(catchUp.isComplete)
        var other = self.catchUp(self.position(5), known: self.position(8))
        _ = other.holdsBack(self.event(9))
        #expect(other.pass(.obsBridge).count == 1)
        #expect(other.isComplete)
    }
}
