import Bus
import Dialects
import Events

/// The catching up of a client that comes from another gateway: what happened since its token was made, read from the publishers' logs.
///
/// All logs are read side by side. The durable events that a publisher makes meanwhile wait until its log is read as far as events had
/// come to this gateway when the client came; each comes once and in its publisher's order. Those of other publishers wait for nothing.
struct CatchUp {
    /// The reading of one publisher's log.
    fileprivate struct Reader {
        /// Up to where the client was told.
        var cursor: LogCursor
        /// The same when it came; `nil`: from the token's moment on.
        var start: Position?
        /// Up to where the publisher's events had come here when the client came; those behind it come by themselves. `nil`: unknown.
        var target: Position?
        /// A page that was asked for later than this and reaches the end of the log has all that had come here.
        var since: ContinuousClock.Instant
        var isReading: Bool
        /// An answer is awaited.
        var isAsking = false
        /// Since when the publisher owes an answer.
        var unansweredSince: ContinuousClock.Instant?
        /// The log does not know where the client was, so pages of other readers that begin at another moment are of no use.
        var goesByMoment: Bool
        /// When the last page was asked for that it took; it takes no older one.
        var pagesSince: ContinuousClock.Instant?
        /// The last two pages, whose events the bus may bring again in another term.
        var pages: [LogPage] = []
        var held: [Event] = []
        /// More came than may wait; the log has it.
        var isOverflowing = false
    }

    /// What a page means for the client.
    struct Step {
        /// How many of the page's events, counted from its end, are new to the client.
        var fresh = 0
        /// Events of the bus that have waited for the log and follow it.
        var waited: [Event] = []
        /// The log has no longer all that the client lacks.
        var isIncomplete = false
    }

    private var readers: [ServiceName: Reader] = [:]
    /// What the session wants when all is told.
    var afterwards: [SessionAction] = []
    /// All is told, and the session knows.
    var hasEnded = false
    /// The moment from which a log is read that does not know the client's position: the token's, a little earlier so that those who
    /// left together share pages.
    let moment: Timestamp

    private static let pageSize = 100
    /// Events of one publisher that may wait.
    private static let heldMax = 1000
    /// How long a publisher may owe an answer.
    private static let unansweredMax = Duration.seconds(10)
    /// The grain of `moment`, in milliseconds.
    private static let momentGrain: Int64 = 2000
    /// How much the clocks of two gateways may differ.
    private static let clockTolerance = Duration.seconds(5)
    /// How long a page may take to come; see `CommandClient.call`.
    private static let answerMax = Duration.seconds(5)
    static let retryPause = Duration.milliseconds(200)
    /// The next page is asked for when no more than that waits for the client.
    static let waitingMax = (frames: 100, bytes: 1 << 20)
    static let waitingPause = Duration.milliseconds(20)
    /// For a client that would otherwise go on as if nothing were missing: it comes back without its token, and knows that it does not
    /// know everything.
    static let failed = Closing(1011, "missed events unavailable")

    /// What this gateway knows when a client comes.
    struct Here {
        /// Up to where each publisher's events have come.
        var positions: [ServiceName: Position]
        /// Publishers that were heard lately.
        var heard: Set<ServiceName>
        /// Since when it listens to all of them.
        var listensSince: Timestamp
    }

    /// Finds out which logs have to be read.
    ///
    /// A publisher's log is not read if the client was told all that has come here. Nor is it if neither gateway has ever been in
    /// contact with it (the token names no position of it, nor is there one here), and either it is not heard here now, so that it is
    /// not installed or was down all along, or this gateway has listened since before the token was made. Then it has said nothing that
    /// the client could have missed: when it comes up, the bus brings what it has said since this gateway began to listen.
    ///
    /// - Parameters:
    ///   - told: up to where the other gateway had told the client.
    ///   - issued: when it said so, by its clock.
    init(
        told: [ServiceName: Position], issued: Timestamp, here: Here, at now: ContinuousClock.Instant = .now
    ) {
        self.moment = Timestamp(milliseconds: issued.milliseconds / Self.momentGrain * Self.momentGrain)
        // No client is shown what auth publishes.
        for publisher in ServiceName.publishers where publisher != .auth {
            let (start, target) = (told[publisher], here.positions[publisher])
            let cursor = LogCursor(start)
            let isMissing =
                if start == nil, target == nil {
                    here.heard.contains(publisher) && here.listensSince + Self.clockTolerance > issued
                } else {
                    // Told more than has come here: then this gateway is about to ask the log, which may number it anew.
                    target.map { !cursor.isLevel(with: $0) || (start?.seq ?? 0) > $0.seq } ?? true
                }
            self.readers[publisher] = Reader(
                cursor: cursor, start: start, target: target, since: now, isReading: isMissing,
                goesByMoment: start == nil)
        }
    }

    /// Up to where the client has been told.
    var positions: [ServiceName: Position] { self.readers.compactMapValues(\.cursor.position) }

    /// All logs were read.
    var isComplete: Bool { !self.readers.values.contains(where: \.isReading) }

    /// The publishers whose next pages are to be asked for.
    var due: [ServiceName] { self.readers.filter { $0.value.isReading && !$0.value.isAsking }.map(\.key) }

    /// Returns where the next page of a publisher's log begins; `nil` if none is wanted.
    func key(of publisher: ServiceName) -> ReplayPages.Key? {
        guard let reader = self.readers[publisher], reader.isReading else { return nil }
        return ReplayPages.Key(
            publisher: publisher, after: reader.cursor.position, moment: reader.goesByMoment ? self.moment : nil)
    }

    /// Notes that a page was asked for; its answer is awaited.
    mutating func asks(_ publisher: ServiceName, at now: ContinuousClock.Instant) {
        let since = self.readers[publisher]?.unansweredSince ?? now
        self.readers[publisher]?.isAsking = true
        self.readers[publisher]?.unansweredSince = since
    }

    /// Returns the question for the page that begins there. Where it goes by the moment, it begins early enough for a clock of the other
    /// gateway that differs, and for an answer that takes its time: to repeat some events is better than to skip one.
    func request(for key: ReplayPages.Key, at now: Timestamp) -> ReplayRequest {
        LogCursor(key.after).request(
            ago: now - self.moment + Self.clockTolerance + Self.answerMax, limit: Self.pageSize)
    }

    /// Returns whether a page takes the client further, or is the end: a kept one may be from before events that have come here.
    func accepts(_ page: LogPage) -> Bool {
        guard let reader = self.readers[page.question.key.publisher], reader.isReading,
            page.question.key.after == reader.cursor.position, reader.pagesSince.map({ page.askedAt >= $0 }) ?? true,
            page.content.isContinuation || page.question.moment == self.moment
        else { return false }
        return page.end != reader.cursor.position || reader.isLevel(behind: page)
    }

    /// Moves behind a page that it accepts.
    mutating func take(_ page: LogPage, at now: ContinuousClock.Instant) -> Step {
        let publisher = page.question.key.publisher
        return self.readers[publisher]?.take(page, heldMax: Self.heldMax, at: now) ?? Step()
    }

    /// Records that an answer was of no use: none, or a page that it does not accept. Returns `false` if the publisher has owed an
    /// answer for too long, so that it is not to be asked again.
    /// - Parameter page: `nil` if there was no answer.
    mutating func recordUnanswered(_ publisher: ServiceName, _ page: LogPage?, at now: ContinuousClock.Instant) -> Bool
    {
        self.readers[publisher]?.isAsking = false
        if let page {
            if !page.content.isContinuation { self.readers[publisher]?.goesByMoment = true }
            self.readers[publisher]?.unansweredSince = nil
        }
        return self.readers[publisher]?.unansweredSince.map { now - $0 < Self.unansweredMax } ?? true
    }

    /// Goes on without a publisher's log, for a client that nothing of it concerns. Returns what has waited.
    mutating func pass(_ publisher: ServiceName) -> [Event] { self.readers[publisher]?.finish() ?? [] }

    /// Returns whether an event is not to be given to the client now: it was told already, or waits for what comes before it.
    mutating func holdsBack(_ event: Event) -> Bool {
        self.readers[event.publisher]?.holdsBack(event, heldMax: Self.heldMax) ?? false
    }

    /// Returns whether the client has that event from the log.
    func replayed(_ event: Event) -> Bool {
        guard let position = event.position, let reader = self.readers[event.publisher],
            reader.cursor.relation(to: position) == .known
        else { return false }
        return reader.start.map { LogCursor($0).relation(to: position) != .known } ?? true
    }

    /// Returns whether that event waits for its publisher's log.
    func isWaiting(_ event: Event) -> Bool {
        guard let reader = self.readers[event.publisher] else { return false }
        return reader.isOverflowing || reader.held.contains { $0.id == event.id }
    }

    /// As it is remembered when nothing is to be compared any more.
    var ended: CatchUp {
        var ended = self
        for publisher in self.readers.keys {
            ended.readers[publisher]?.held = []
            ended.readers[publisher]?.pages = []
            ended.readers[publisher]?.isOverflowing = false
        }
        return ended
    }
}

extension CatchUp.Reader {
    /// Returns whether whoever has read that page has all that had come here when the client came.
    fileprivate func isLevel(behind page: LogPage) -> Bool {
        if let target = self.target, LogCursor(page.end).isLevel(with: target) { return true }
        return page.askedAt >= self.since && page.reachesHead
    }

    fileprivate mutating func take(_ page: LogPage, heldMax: Int, at now: ContinuousClock.Instant) -> CatchUp.Step {
        guard self.isReading else { return CatchUp.Step() }
        self.isAsking = false
        self.unansweredSince = nil
        self.pagesSince = page.askedAt
        self.goesByMoment = false
        let isLevel = self.isLevel(behind: page)
        let reading = self.cursor.take(page.content)
        if reading.isElsewhere { self.start = nil }
        self.pages = self.pages.suffix(1) + [page]
        var step = CatchUp.Step(fresh: reading.events.count, isIncomplete: reading.lost != nil)
        guard isLevel else { return step }
        guard self.isOverflowing else {
            step.waited = self.finish()
            return step
        }
        // What could not wait has come here by now, and is in the log.
        self.isOverflowing = false
        self.target = nil
        self.since = now
        return step
    }

    /// Ends the reading. Returns what has waited and was not told.
    fileprivate mutating func finish() -> [Event] {
        self.isReading = false
        self.isAsking = false
        let waited = self.held.filter { !self.has($0) }
        self.held = []
        if let last = waited.last?.position, self.cursor.relation(to: last) != .elsewhere {
            self.cursor.advance(to: last)
        }
        return waited
    }

    fileprivate mutating func holdsBack(_ event: Event, heldMax: Int) -> Bool {
        guard event.position != nil else { return false }
        if self.has(event) { return true }
        guard self.isReading else { return false }
        guard !self.isOverflowing else { return true }
        if self.held.count < heldMax {
            self.held.append(event)
        } else {
            self.held = []
            self.isOverflowing = true
        }
        return true
    }

    /// Returns whether the client was told that event.
    private func has(_ event: Event) -> Bool {
        guard let position = event.position else { return false }
        switch self.cursor.relation(to: position) {
        case .known: return true
        case .next, .missing: return false
        // It is numbered by another writer than the page was. What a later term's log kept of an earlier one was read with it, or
        // will be; the bus is not far ahead of the log.
        case .elsewhere:
            if let own = self.cursor.position, own.epoch == position.epoch, position.term < own.term { return true }
            return self.pages.contains { $0.contains(event.id) }
        }
    }
}
