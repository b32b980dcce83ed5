public import Events

/// A reader's place in one publisher's durable log, and the rules for going on: which event comes next, what to ask the log for, and
/// what a page of it means.
public struct LogCursor: Sendable, Equatable {
    /// Everything up to here was taken; `nil` until the log was first reached.
    public private(set) var position: Position?

    public init(_ position: Position? = nil) { self.position = position }

    /// The relation of an event's place, or of the end of a log, to the reader's place.
    public enum Relation: Sendable, Hashable {
        /// It follows directly.
        case next
        /// It was taken already.
        case known
        /// There is a gap before it.
        case missing
        /// It cannot be compared: the reader has no place yet, or it is of another epoch or term. The log has to be asked.
        case elsewhere
    }

    /// Compares a place in the log with the reader's own.
    public func relation(to position: Position) -> Relation {
        guard let own = self.position, own.isSameTerm(as: position) else { return .elsewhere }
        if position.seq <= own.seq { return .known }
        return position.seq == own.seq &+ 1 ? .next : .missing
    }

    /// Moves to the place of an event that was taken.
    public mutating func advance(to position: Position) { self.position = position }

    /// Returns the question for what follows.
    /// - Parameter ago: how long ago, when the question is answered, the reader last had everything or began to listen: until now, and
    ///   as long as the answer may take.
    public func request(ago: Duration, limit: Int) -> ReplayRequest {
        ReplayRequest(after: self.position, ago: max(.zero, ago).milliseconds, limit: limit)
    }

    /// The content of a page, as one reader has to understand it.
    public struct Reading: Equatable, Sendable {
        /// The events that follow the reader's place, in order.
        public var events: [Event]
        /// The numbers that should have followed and that the log no longer has.
        public var lost: ClosedRange<UInt64>?
        /// The page does not continue from the reader's place, but begins at the moment that the request named: it may hold events
        /// that the reader has taken.
        public var isElsewhere: Bool
        /// The reader stood on numbers that the log has lost, and went back.
        public var isBehind: Bool
    }

    /// Moves behind a page, the answer to `request` for the place where the reader still is.
    public mutating func take(_ page: ReplayPage) -> Reading {
        let last = page.events.last?.position?.seq ?? max(page.after, page.head.seq)
        let own = self.position
        self.position = Position(epoch: page.head.epoch, term: page.head.term, seq: last)
        guard page.isContinuation, let own, own.epoch == page.head.epoch else {
            return Reading(events: page.events, lost: nil, isElsewhere: true, isBehind: false)
        }
        let start = min(own.seq, page.after)
        let events = page.events.filter { ($0.position?.seq ?? 0) > start }
        let first = events.first?.position?.seq ?? last &+ 1
        let isGap = start < .max && first > start + 1
        return Reading(
            events: events, lost: isGap ? start + 1...first - 1 : nil, isElsewhere: false, isBehind: start < own.seq)
    }

    /// Returns whether the reader has everything up to `head`.
    public func isLevel(with head: Position) -> Bool {
        guard let position = self.position, position.isSameTerm(as: head) else { return false }
        return position.seq >= head.seq
    }
}
