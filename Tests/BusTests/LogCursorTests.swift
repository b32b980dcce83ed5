import Events
import Testing

@testable import Bus

@Suite struct LogCursorTests {
    private static let at5 = LogCursor(Position(epoch: 1, term: 3, seq: 5))

    private func page(
        _ seqs: ClosedRange<UInt64>?, head: UInt64, term: UInt64 = 3, epoch: UInt64 = 1, after: UInt64,
        isContinuation: Bool = true
    ) -> ReplayPage {
        ReplayPage(
            head: Position(epoch: epoch, term: term, seq: head), after: after, isContinuation: isContinuation,
            events: (seqs.map(Array.init) ?? []).map { Event.test($0, epoch: epoch, term: term) })
    }

    @Test(arguments: [
        (Position(epoch: 1, term: 3, seq: 6), LogCursor.Relation.next), (Position(epoch: 1, term: 3, seq: 5), .known),
        (Position(epoch: 1, term: 3, seq: 1), .known), (Position(epoch: 1, term: 3, seq: 7), .missing),
        (Position(epoch: 1, term: 4, seq: 6), .elsewhere), (Position(epoch: 1, term: 2, seq: 6), .elsewhere),
        (Position(epoch: 2, term: 3, seq: 6), .elsewhere), (Position(epoch: 1, term: 3, seq: .max), .missing),
    ])
    func `numbers are compared within an epoch and a term only`(position: Position, relation: LogCursor.Relation) {
        #expect(Self.at5.relation(to: position) == relation)
        #expect(LogCursor().relation(to: position) == .elsewhere)
    }

    @Test func `it asks for what follows its place, or from the moment of the last contact`() {
        let request = Self.at5.request(ago: .milliseconds(1500), limit: 7)
        #expect(request == ReplayRequest(after: Position(epoch: 1, term: 3, seq: 5), ago: 1500, limit: 7))
        #expect(LogCursor().request(ago: .seconds(-1), limit: 7) == ReplayRequest(after: nil, ago: 0, limit: 7))
    }

    @Test func `a page that continues moves it to the page's last event, and into its term`() {
        var cursor = Self.at5
        let page = self.page(6...8, head: 20, term: 4, after: 5)
        let reading = cursor.take(page)
        #expect(reading == .init(events: page.events, lost: nil, isElsewhere: false, isBehind: false))
        #expect(cursor.position == Position(epoch: 1, term: 4, seq: 8))
        #expect(!cursor.isLevel(with: page.head))
    }

    @Test func `an empty page moves it to the end of the log`() {
        var cursor = Self.at5
        let page = self.page(nil, head: 5, term: 4, after: 5)
        #expect(cursor.take(page) == .init(events: [], lost: nil, isElsewhere: false, isBehind: false))
        #expect(cursor.position == page.head)
        #expect(cursor.isLevel(with: page.head))
    }

    @Test func `on numbers that the log has lost it goes back and takes what has them now`() {
        var cursor = Self.at5
        let page = self.page(4...6, head: 6, term: 4, after: 3)
        #expect(cursor.take(page) == .init(events: page.events, lost: nil, isElsewhere: false, isBehind: true))
        #expect(cursor.position == page.head)
        var other = Self.at5
        let empty = self.page(nil, head: 3, term: 4, after: 3)
        #expect(other.take(empty) == .init(events: [], lost: nil, isElsewhere: false, isBehind: true))
        #expect(other.position == empty.head)
    }

    @Test func `what retention has dropped is lost, but nothing that came before`() {
        var cursor = Self.at5
        #expect(cursor.take(self.page(9...10, head: 10, after: 5)).lost == 6...8)
        var empty = Self.at5
        #expect(empty.take(self.page(nil, head: 10, after: 5)).lost == 6...10)
        var behind = Self.at5
        let reading = behind.take(self.page(5...6, head: 6, term: 4, after: 3))
        #expect(reading.lost == 4...4 && reading.isBehind)
    }

    @Test(arguments: [LogCursor(), Self.at5])
    func `a page that does not continue is taken whole, and nothing counts as lost`(cursor: LogCursor) {
        var cursor = cursor
        let page = self.page(90...91, head: 91, term: 7, epoch: 2, after: 89, isContinuation: false)
        #expect(cursor.take(page) == .init(events: page.events, lost: nil, isElsewhere: true, isBehind: false))
        #expect(cursor.position == page.head)
        let empty = self.page(nil, head: 4, term: 8, after: 4, isContinuation: false)
        #expect(cursor.take(empty) == .init(events: [], lost: nil, isElsewhere: true, isBehind: false))
        #expect(cursor.position == empty.head)
    }

    @Test func `numbers at the end of their range do not trap`() {
        var cursor = LogCursor(Position(epoch: 1, term: 1, seq: .max))
        #expect(cursor.relation(to: Position(epoch: 1, term: 1, seq: 0)) == .known)
        #expect(cursor.take(self.page(nil, head: .max, after: .max)).lost == nil)
        #expect(cursor.take(self.page(nil, head: .max, after: 0)).isBehind)
    }
}
