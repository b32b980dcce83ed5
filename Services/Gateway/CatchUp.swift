import Dialects
import Events
import WebSockets

/// What a client gets that comes from another gateway: first what happened since its token was made, from the publishers' logs, then
/// what has happened here meanwhile, which waits. Each publisher's durable events come once and in order.
struct CatchUp {
    /// Something that waits for its turn.
    struct Held {
        let event: Event
        let kind: CatalogueEntry
        let frame: FrameRange
    }

    /// Up to where the other gateway had told the client.
    private let start: [ServiceName: Position]
    /// Up to where it has been told now.
    private(set) var positions: [ServiceName: Position]
    /// Publishers whose logs are still to be read, in order.
    private var missing: [ServiceName]
    private(set) var held: [Held] = []
    /// What the session wants when all is told.
    var afterwards: [SessionAction] = []
    private let since: Timestamp
    let deadline: ContinuousClock.Instant

    private static let pageSize = 500
    /// Frames that may wait; a client for which more would have to is closed.
    static let heldMax = 10_000
    /// A publisher that does not answer is asked again for so long.
    private static let timeMax = Duration.seconds(10)
    static let retryPause = Duration.milliseconds(200)

    /// - Parameters:
    ///   - positions: up to where the other gateway had told the client.
    ///   - since: when it said so; for publishers that it knew nothing of.
    ///   - known: up to where each publisher's events have come here.
    init(positions: [ServiceName: Position], since: Timestamp, known: [ServiceName: Position]) {
        self.start = positions
        self.positions = positions
        self.since = since
        self.deadline = .now + Self.timeMax
        self.missing = ServiceName.publishers.filter { publisher in
            guard let told = positions[publisher], let here = known[publisher] else { return true }
            return here.epoch != told.epoch || here.seq > told.seq
        }
    }

    /// Whose log to read next, and from where; `nil`: nothing is missing any more.
    var next: (publisher: ServiceName, request: ReplayRequest)? {
        guard let publisher = self.missing.first else { return nil }
        let told = self.positions[publisher]
        return (
            publisher,
            ReplayRequest(
                epoch: told?.epoch, after: told?.seq, since: told == nil ? self.since : nil, limit: Self.pageSize)
        )
    }

    /// Takes a page of the log that was read; gives what is new of it.
    mutating func take(_ events: [Event], epoch: UInt64, head: UInt64, of publisher: ServiceName) -> [Event] {
        let told = self.positions[publisher].flatMap { $0.epoch == epoch ? $0.seq : nil } ?? 0
        // Another log than the one that the client was told of is of interest from the token on.
        let fresh = events.filter { ($0.position?.seq ?? 0) > told && (told > 0 || $0.time >= self.since) }
        let last = events.last?.position?.seq ?? max(told, head)
        self.positions[publisher] = Position(epoch: epoch, seq: last)
        if last >= head { self.pass(publisher) }
        return fresh
    }

    /// All logs were read.
    var isComplete: Bool { self.missing.isEmpty }

    /// Gives what waits, once.
    mutating func release() -> [Held] {
        defer { self.held = [] }
        return self.held
    }

    /// Whether the client has that event from the log.
    func replayed(_ position: Position?, of publisher: ServiceName) -> Bool {
        guard let position, self.includes(position, of: publisher) else { return false }
        return self.start[publisher].map { $0.epoch != position.epoch || $0.seq < position.seq } ?? true
    }

    /// Goes on without that publisher's log.
    mutating func pass(_ publisher: ServiceName) { self.missing.removeAll { $0 == publisher } }

    /// `false`: too much waits already.
    mutating func hold(_ frame: Held) -> Bool {
        guard self.held.count < Self.heldMax else { return false }
        self.held.append(frame)
        return true
    }

    /// Whether the client has been given that event already.
    func includes(_ position: Position?, of publisher: ServiceName) -> Bool {
        guard let position, let told = self.positions[publisher] else { return false }
        return position.epoch == told.epoch && position.seq <= told.seq
    }
}
