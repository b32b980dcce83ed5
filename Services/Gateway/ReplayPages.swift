import Bus
import Dialects
import Events
import WebSockets

/// Pages of the publishers' logs that a loop's clients lack, kept for the time in which others may want the same: clients of one
/// draining loop carry the same positions, so however many they are, each page is read once.
///
/// A kept page may be older than its reader; `CatchUp.accepts` decides whether it is of use.
struct ReplayPages {
    /// The place in a log that a page begins at.
    struct Key: Hashable, Sendable {
        let publisher: ServiceName
        /// The page continues from here.
        let after: Position?
        /// The page begins at this moment instead, where the log does not know `after`.
        let moment: Timestamp?
    }

    /// One question to a log.
    struct Question: Sendable {
        let key: Key
        /// The moment that the page begins at if the log does not know `key.after`.
        let moment: Timestamp
        let askedAt: ContinuousClock.Instant
    }

    private var kept: [Key: LogPage] = [:]
    /// The oldest first; some may have been replaced since.
    private var order: [(key: Key, askedAt: ContinuousClock.Instant)] = []
    private var bytes = 0
    /// Who waits for the answer to a question.
    private var waiting: [Key: [ConnectionID]] = [:]

    /// A token lives as long, and so do the positions in it.
    private static let ageMax = Duration.seconds(120)
    /// Of all pages of a loop.
    static let bytesMax = 16 << 20

    /// How many pages it keeps.
    var count: Int { self.kept.count }

    /// The page that begins there; `nil` if there is none.
    subscript(_ key: Key) -> LogPage? { self.kept[key] }

    /// Has a client wait for the page that begins there. Returns whether it is the first, so that the log has to be asked.
    mutating func wait(_ id: ConnectionID, for key: Key) -> Bool {
        self.waiting[key, default: []].append(id)
        return self.waiting[key]?.count == 1
    }

    /// Returns the clients that waited for that answer, and forgets them.
    mutating func answered(_ key: Key) -> [ConnectionID] { self.waiting.removeValue(forKey: key) ?? [] }

    /// Keeps a page, in the place of one that began there before; the oldest go if all together are too large.
    mutating func keep(_ page: LogPage, as key: Key) {
        self.removeExpired(at: page.askedAt)
        if let replaced = self.kept.updateValue(page, forKey: key) { self.bytes -= replaced.bytes }
        self.bytes += page.bytes
        self.order.append((key, page.askedAt))
        var first = 0
        while self.bytes > Self.bytesMax, first < self.order.count { self.remove(&first) }
        self.order.removeFirst(first)
    }

    /// Drops the pages for which no token is left.
    mutating func removeExpired(at now: ContinuousClock.Instant) {
        var first = 0
        while first < self.order.count, now - self.order[first].askedAt > Self.ageMax { self.remove(&first) }
        self.order.removeFirst(first)
    }

    private mutating func remove(_ place: inout Int) {
        let (key, askedAt) = self.order[place]
        place += 1
        guard let page = self.kept[key], page.askedAt == askedAt else { return }
        self.kept[key] = nil
        self.bytes -= page.bytes
    }
}

/// A page of a log with what a loop's clients are sent of it, encoded once for all of them.
final class LogPage {
    /// An event as clients of a dialect are sent it.
    struct Frame {
        /// Who holds one of these gets it.
        let keys: [String]
        let range: FrameRange
    }

    let content: ReplayPage
    let question: ReplayPages.Question
    /// Where a reader of the page stands afterwards.
    let end: Position
    /// What it counts for: its events and as much again for their frames, which keep a stretch of the loop's log alive in any case.
    let bytes: Int
    /// By dialect, of the first events.
    private var frames: [Int: [[Frame]]] = [:]

    var askedAt: ContinuousClock.Instant { self.question.askedAt }
    /// Nothing that the log held when it was read lies behind the page.
    var reachesHead: Bool { self.end.seq >= self.content.head.seq }

    private static let bytesMin = 64 << 10

    init(_ content: ReplayPage, _ question: ReplayPages.Question) {
        self.content = content
        self.question = question
        var cursor = LogCursor(question.key.after)
        _ = cursor.take(content)
        self.end = cursor.position ?? content.head
        self.bytes = max(Self.bytesMin, content.events.reduce(0) { $0 + 2 * ($1.data.count + 256) })
    }

    private lazy var ids = Set(self.content.events.map(\.id))

    func contains(_ id: ULID) -> Bool { self.ids.contains(id) }

    /// Returns what clients of that dialect are sent of the event in that place.
    /// - Parameter encode: called once for each event and dialect.
    func frames(of place: Int, dialect: Int, encode: (Event) -> [Frame]) -> [Frame] {
        var known = self.frames.removeValue(forKey: dialect) ?? []
        // Readers go from some place to the end, so what is before it is encoded with it.
        while known.count <= place { known.append(encode(self.content.events[known.count])) }
        defer { self.frames[dialect] = known }
        return known[place]
    }
}
