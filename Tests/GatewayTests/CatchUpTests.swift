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
        #expect(catchUp.includes(Position(epoch: 1, seq: 9), of: .obsBridge))
        #expect(!catchUp.includes(Position(epoch: 1, seq: 10), of: .obsBridge))
        #expect(!catchUp.includes(nil, of: .obsBridge))
        #expect(!catchUp.replayed(Position(epoch: 1, seq: 5), of: .obsBridge))
        #expect(catchUp.replayed(Position(epoch: 1, seq: 6), of: .obsBridge))
    }

    @Test func `a publisher of which the other gateway knew nothing is read from the token's moment on`() {
        let catchUp = self.catchUp([:], known: self.position(3))
        #expect(catchUp.next?.request.after == nil)
        #expect(catchUp.next?.request.since == self.since)
    }

    @Test func `of a log that was replaced only what came after the token is told`() {
        var catchUp = self.catchUp(self.position(50), known: self.position(3, epoch: 2))
        let old = self.event(1, epoch: 2, at: self.since + .seconds(-5))
        #expect(catchUp.take([old, self.event(2, epoch: 2)], epoch: 2, head: 2, of: .obsBridge).count == 1)
        #expect(catchUp.isComplete)
    }

    @Test func `an empty page ends the reading, and so does giving up`() {
        var catchUp = self.catchUp(self.position(5), known: self.position(8))
        #expect(catchUp.take([], epoch: 1, head: 8, of: .obsBridge).isEmpty)
        #expect(catchUp.isComplete)
        var other = self.catchUp(self.position(5), known: self.position(8))
        other.pass(.obsBridge)
        #expect(other.isComplete)
    }
}
