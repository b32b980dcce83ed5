import Access
import Bus
import Dialects
import Events
import Logging
import Metrics
import WebSockets

/// The gateway's work on one loop: adopts connections, runs their sessions, and gives events to whom they concern.
final class EdgeHandler: LoopHandler {
    typealias Message = EdgeMessage

    let census: Census
    let publishers: HeardPublishers
    let enquiries: Enquiries
    let seats: SeatLeases
    let isRevoked: (Principal) -> Bool
    let logger: Logger
    /// Posts into this loop's own mailbox.
    let post: Enquiries.Answer
    let dialects = DialectRegistry.all
    private let rules = DialectRegistry.all.map { DialectRules($0.profile) }
    private(set) unowned var loop: LoopContext?
    private(set) var clients: [ConnectionID: Client] = [:]
    private(set) var clientsByDialect: [Int]
    private var arrivals: [ConnectionID: Arrival] = [:]
    private(set) var index = SubscriptionIndex<Client>()
    var history = EventHistory()
    /// Up to where each publisher's durable events were given out here.
    var delivered: [ServiceName: Position] = [:]
    /// Since when the gateway listens to the publishers.
    let started = Timestamp.now
    /// Pages of the publishers' logs for those who come from other gateways.
    var pages = ReplayPages()
    /// Answers of the logs (`nil`: there was none), with those who still wait for them.
    var answers: [(publisher: ServiceName, page: LogPage?, ids: ArraySlice<ConnectionID>)] = []
    /// The frames of events that waited for a log, while clients are given them.
    var waitedFrames: [WaitedEvent: [LogPage.Frame]] = [:]
    /// Counts the bundles that were given out.
    var bundle: UInt64 = 0
    var isDraining = false
    /// The newest last.
    var closed: [ClosedClient] = []

    let slowClients = SlowClients()
    let deliveries: [Counter]
    /// From when an event happened until it is given to the first client, by dialect.
    let ages: [Metrics.Timer]
    let unknownTypes = Counter(label: "gateway_unknown_events_total")
    let tooLarge = Counter(label: "gateway_undelivered_total", dimensions: [("why", "too large")])
    let unreadLogs = Counter(label: "gateway_unread_logs_total")
    let pagesRead = Counter(label: "gateway_replay_pages_total", dimensions: [("source", "log")])
    let pagesShared = Counter(label: "gateway_replay_pages_total", dimensions: [("source", "memory")])
    private let pauses = Dictionary(
        uniqueKeysWithValues: ReadingPause.allCases.map {
            ($0, Counter(label: "gateway_reading_pauses_total", dimensions: [("reason", $0.rawValue)]))
        })
    private let futile = Dictionary(
        uniqueKeysWithValues: FutileReason.allCases.map {
            ($0, Counter(label: "gateway_futile_filters_total", dimensions: [("why", $0.rawValue)]))
        })

    /// Why nothing is read from a client for a while.
    enum ReadingPause: String, CaseIterable {
        /// It does not take its replies.
        case replies
        /// Its messages wait for the answer to an earlier one.
        case answer
        /// Frames wait that are due later.
        case later
    }

    enum Timers {
        static let ping = TimerKind(rawValue: 1)
        static let silence = TimerKind(rawValue: 2)
        static let beat = TimerKind(rawValue: 3)
        static let wake = TimerKind(rawValue: 4)
        static let later = TimerKind(rawValue: 5)
        static let readOn = TimerKind(rawValue: 6)
        static let compared = TimerKind(rawValue: 7)
        static let replies = TimerKind(rawValue: 8)
    }

    /// As many connections that have ended are remembered.
    static let closedMax = 256
    /// How much later than a publisher's log the bus may bring an event.
    static let compareMax = Duration.seconds(60)
    /// So many clients are given a page of a log in one turn.
    static let answersPerTurn = 256
    /// So many events' frames are kept for those who waited for them.
    static let waitedFramesMax = 2000

    init(
        census: Census, publishers: HeardPublishers, enquiries: Enquiries, seats: SeatLeases,
        isRevoked: @escaping (Principal) -> Bool, logger: Logger, post: @escaping Enquiries.Answer
    ) {
        self.census = census
        self.publishers = publishers
        self.enquiries = enquiries
        self.seats = seats
        self.isRevoked = isRevoked
        self.logger = logger
        self.post = post
        self.clientsByDialect = Array(repeating: 0, count: DialectRegistry.all.count)
        self.deliveries = DialectRegistry.all.map {
            Counter(label: "gateway_deliveries_total", dimensions: [("dialect", $0.profile.name.rawValue)])
        }
        self.ages = DialectRegistry.all.map {
            Timer(label: "gateway_event_age_seconds", dimensions: [("dialect", $0.profile.name.rawValue)])
        }
    }

    // MARK: from other threads

    static func weight(of message: EdgeMessage) -> Int { message.weight }
    static func bytes(of message: EdgeMessage) -> Int { message.bytes }

    func attached(to loop: LoopContext) { self.loop = loop }

    func received(_ messages: [EdgeMessage]) {
        // One moment for the whole turn: what is queued goes out at its end, so a long turn does not make clients slow.
        let now = ContinuousClock.now
        var revoked: [CredentialRevoked] = []
        // Events that came one after the other are given out together, repaired ones apart.
        var events: [Event] = []
        var areRepaired = false
        for message in messages {
            if case .events(let more, let isRepaired) = message, isRepaired == areRepaired {
                events += more
                continue
            }
            if !events.isEmpty { self.deliver(events, isRepaired: areRepaired, now) }
            events.removeAll()
            if case .events(let more, let isRepaired) = message { (events, areRepaired) = (more, isRepaired) }
            switch message {
            case .events: break
            case .adopt(let arrival): self.adopt(arrival)
            case .verified(let id, let result): self.verified(id, result)
            case .called(let id, let result):
                self.resume(id) { client, now in client.session.called(result, at: now) }
            case .seated(let id, let seat, let isTaken): self.seated(id, seat, isTaken)
            case .handedOver(let id, let token):
                if let client = self.clients[id] {
                    self.perform(client.session.handedOver(token, at: .now), for: client)
                }
            case .resumed(let id, let redeemed): self.resume(id, with: redeemed)
            case .replayed(let question, let page): self.replayed(question, page)
            case .answersDue: self.continueAnswers()
            case .revoked(let more): revoked += more
            case .drain(let heard): self.drain(heard)
            case .endDrain: self.endDrain()
            case .list(let question, let answer): answer(self.list(question))
            case .describe(let ids, let tenant, let answer): answer(self.describe(ids, tenant))
            case .describeClosed(let question, let answer): answer(self.describeClosed(question))
            case .explain(let connection, let event, let answer): answer(self.explain(connection, event))
            }
        }
        if !events.isEmpty { self.deliver(events, isRepaired: areRepaired, now) }
        if !revoked.isEmpty { self.revoke(RevocationList(revoked)) }
    }

    private func adopt(_ arrival: Arrival) {
        self.arrivals[arrival.upgrade.id] = arrival
        if self.loop?.adopt(arrival.upgrade) == nil { self.forget(arrival.upgrade.id) }
    }

    /// A connection that never opened.
    private func forget(_ id: ConnectionID) {
        guard let arrival = self.arrivals.removeValue(forKey: id) else { return }
        self.census.leave(self.dialects[arrival.dialect].profile.name)
    }

    // MARK: connections

    func opened(_ connection: Connection) {
        guard let arrival = self.arrivals.removeValue(forKey: connection.id) else { return connection.drop() }
        let client = Client(
            connection, arrival: arrival, dialect: self.dialects[arrival.dialect], rules: self.rules[arrival.dialect],
            after: self.history.last)
        connection.userData = client
        self.clients[client.id] = client
        self.clientsByDialect[client.dialect] += 1
        connection.messageBytesMax = client.messageBytesMax
        connection.schedule(Timers.ping, after: client.profile.pingInterval)
        if let interval = client.profile.beatInterval { connection.schedule(Timers.beat, after: interval) }
        if let principal = arrival.principal, !self.admit(principal, on: client) { return }
        self.perform(client.session.opened(at: .now), for: client)
        if self.isDraining { self.perform(client.session.drain(at: .now), for: client) }
    }

    func closed(_ connection: Connection) {
        guard let client = self.clients.removeValue(forKey: connection.id) else { return self.forget(connection.id) }
        self.remember(client)
        if self.clients.isEmpty { self.pages = ReplayPages() }
        for key in client.filters.keys { self.index.remove(client, under: key) }
        for seat in client.seats { self.seats.giveBack(seat) }
        self.clientsByDialect[client.dialect] -= 1
        self.census.leave(client.profile.name)
        connection.userData = nil
    }

    func text(_ bytes: [UInt8], from connection: Connection) {
        self.heard(.text(bytes), from: connection)
    }

    func binary(_ bytes: [UInt8], from connection: Connection) {
        self.heard(.binary(bytes), from: connection)
    }

    func ponged(_ connection: Connection) {
        self.clients[connection.id]?.lastHeard = .now
    }

    func turnEnded() {}

    private func heard(_ message: Client.Held, from connection: Connection) {
        guard let client = self.clients[connection.id] else { return }
        client.lastHeard = .now
        guard client.isWaiting else { return self.handle(message, for: client) }
        let wasStopped = client.held.mustStop
        client.held.append(message, bytes: message.bytes)
        guard client.held.mustStop, !wasStopped else { return }
        self.pauses[.answer]?.increment()
        client.adjustReading()
    }

    private func handle(_ message: Client.Held, for client: Client) {
        let now = Timestamp.now
        switch message {
        case .text(let bytes):
            guard client.limiter?.take(at: now) ?? true else {
                return self.perform(client.session.exceededRate(at: now), for: client)
            }
            self.perform(client.session.received(bytes, at: now), for: client)
        case .binary(let bytes): self.perform(client.session.receivedBinary(bytes, at: now), for: client)
        }
    }

    private func verified(_ id: ConnectionID, _ result: Result<Principal, VerificationFailure>) {
        self.resume(id) { client, now in
            if case .success(let principal) = result, !self.admit(principal, on: client) { return [] }
            return client.session.verified(result, at: now)
        }
    }

    func resume(_ id: ConnectionID, _ answer: (Client, Timestamp) -> [SessionAction]) {
        guard let client = self.clients[id] else { return }
        client.isWaiting = false
        let actions = answer(client, .now)
        client.connection.messageBytesMax = client.messageBytesMax
        self.perform(actions, for: client)
        // What it subscribes to from now on is new.
        client.isResuming = false
        while !client.isWaiting, !client.connection.isClosing, let message = client.held.removeFirst() {
            self.handle(message, for: client)
        }
        client.adjustReading()
    }

    // MARK: timers

    func fired(_ timer: TimerKind, for connection: Connection) {
        guard let client = self.clients[connection.id] else { return }
        switch timer {
        case Timers.ping:
            self.pages.removeExpired(at: .now)
            // Who has answered the last one needs no watch.
            if ContinuousClock.now - client.lastHeard >= client.profile.pingInterval { self.checkSilence(of: client) }
            guard !connection.isClosing else { return }
            connection.ping()
            connection.schedule(Timers.ping, after: client.profile.pingInterval)
        case Timers.silence: self.checkSilence(of: client)
        case Timers.beat:
            if let interval = client.profile.beatInterval { connection.schedule(Timers.beat, after: interval) }
            self.perform(client.session.beat(at: .now), for: client)
        case Timers.wake: self.perform(client.session.woke(at: .now), for: client)
        case Timers.later: self.sendDue(to: client)
        case Timers.readOn: self.readOn(client)
        case Timers.compared:
            client.comparesPositions = false
            client.catchUp = client.catchUp?.ended
        case Timers.replies: self.checkReplies(of: client)
        default: break
        }
    }

    private func checkSilence(of client: Client) {
        // Of a PING, or a part of a message, only the system tells.
        let heard = min(
            ContinuousClock.now - client.lastHeard, client.connection.timeSinceReceived ?? .seconds(1 << 20))
        let left = client.profile.silenceMax - heard
        guard left <= .zero else { return client.connection.schedule(Timers.silence, after: left) }
        if let closing = client.profile.silenceClose { client.close(closing) } else { client.drop("silent") }
    }

    private func sendDue(to client: Client) {
        let now = Timestamp.now
        while let next = client.later.first, next.at <= now {
            _ = client.later.removeFirst()
            self.reply(next.frame, to: client)
        }
        client.adjustReading()
        if let next = client.later.first { client.connection.schedule(Timers.later, after: next.at - now) }
    }

    // MARK: replies

    /// Sends a frame to one client alone. When too many of them wait nothing more is read from it, and it has some time to take any.
    private func reply(_ frame: [UInt8], to client: Client) {
        client.connection.send(text: frame)
        guard client.connection.isPausedForReplies, client.progressAtPause == nil else { return }
        self.pauses[.replies]?.increment()
        client.progressAtPause = client.connection.progress
        client.connection.schedule(Timers.replies, after: SlowClients.repliesMax)
    }

    private func replyLater(_ frame: [UInt8], after delay: Duration, to client: Client) {
        let (isFirst, wasStopped) = (client.later.isEmpty, client.later.mustStop)
        client.later.append((.now + delay, frame), bytes: frame.count)
        if isFirst { client.connection.schedule(Timers.later, after: delay) }
        guard client.later.mustStop, !wasStopped else { return }
        self.pauses[.later]?.increment()
        client.adjustReading()
    }

    private func checkReplies(of client: Client) {
        let connection = client.connection
        let progress = connection.isPausedForReplies ? connection.progress : nil
        defer { client.progressAtPause = progress }
        guard let progress else { return }
        guard client.progressAtPause != progress else { return self.slowClients.close(client) }
        connection.schedule(Timers.replies, after: SlowClients.repliesMax)
    }

    // MARK: what sessions want

    func perform(_ actions: [SessionAction], for client: Client) {
        var known: Result<Principal, VerificationFailure>?
        defer { if let known { self.verified(client.id, known) } }
        for (place, action) in actions.enumerated() {
            guard !client.connection.isClosing else { return }
            switch action {
            case .send(let frame): self.reply(frame, to: client)
            case .sendLater(let frame, let delay): self.replyLater(frame, after: delay, to: client)
            case .subscribe(let keys, let principal): self.subscribe(client, to: keys, as: principal)
            case .unsubscribe(let keys, let tenant): self.unsubscribe(client, from: keys, tenant: tenant)
            case .claim(let seat):
                client.isWaiting = true
                client.whenSeated = Array(actions[(place + 1)...])
                return self.enquiries.ask(.seat(seat, client.id, self.post))
            case .verify(let credential):
                client.isWaiting = true
                known = client.takeIntroduction(credential)
                guard known == nil else { continue }
                self.enquiries.ask(
                    .verify(credential, remoteAddress: client.address, client.id, self.post))
            case .call(let call):
                client.isWaiting = true
                self.enquiries.ask(.call(call, client.id, self.post))
            case .wake(let moment):
                client.connection.schedule(Timers.wake, after: max(.zero, moment - .now))
            case .handOver(let handOver): self.handOver(handOver, of: client)
            case .resume(let token):
                client.isWaiting = true
                self.enquiries.ask(.resume(token, client.id, self.post))
            case .futile(let filter, let reason): self.note(reason, for: filter, of: client)
            case .close(let closing): client.close(closing)
            case .drop: client.drop("dropped")
            }
        }
    }

    private func subscribe(_ client: Client, to keys: [String], as principal: Principal) {
        let grant = client.grant(for: principal)
        for key in keys {
            let filter = FilterKey(dialect: client.dialect, tenant: principal.tenant, key: key)
            let known = client.filters[filter]
            client.filters[filter] = Client.Filter(
                grant: grant, since: known?.since ?? self.history.last,
                made: known?.made ?? (client.isResuming ? client.since : .now))
            self.index.insert(client, under: filter, grant: grant)
            let kinds = self.dialects[client.dialect].entries(answeringTo: key)
            if !kinds.contains(where: grant.mayAllow) { self.note(.notEntitled, for: filter.shown, of: client) }
        }
    }

    private func note(_ reason: FutileReason, for filter: String, of client: Client) {
        guard client.futile.updateValue(reason, forKey: filter) == nil else { return }
        self.futile[reason]?.increment()
    }

    private func unsubscribe(_ client: Client, from keys: [String], tenant: String) {
        for key in keys {
            let filter = FilterKey(dialect: client.dialect, tenant: tenant, key: key)
            guard client.filters.removeValue(forKey: filter) != nil else { continue }
            client.futile[filter.shown] = nil
            self.index.remove(client, under: filter)
        }
    }

    private func seated(_ id: ConnectionID, _ seat: Seat, _ isTaken: Bool) {
        guard let client = self.clients[id] else {
            if isTaken { self.seats.giveBack(seat) }
            return
        }
        if isTaken { client.seats.append(seat) }
        self.resume(id) { client, _ in
            guard !isTaken else { return client.whenSeated }
            return [.send(seat.farewell), .close(seat.closing)]
        }
    }

    // MARK: credentials

    /// Notes whom the connection is of. `false`: it was revoked since it was verified, or is one too many, and the connection ends.
    func admit(_ principal: Principal, on client: Client) -> Bool {
        guard client.note(principal) else {
            client.close(Closing(1008, "too many credentials"))
            return false
        }
        guard self.isRevoked(principal) else { return true }
        self.closeRevoked(client)
        return false
    }

    /// Closes the connections of credentials that are not good any longer: one pass, however many there are.
    private func revoke(_ revoked: RevocationList) {
        for client in self.clients.values where client.verified.contains(where: revoked.concerns) {
            self.closeRevoked(client)
        }
    }

    private func closeRevoked(_ client: Client) { client.close(client.profile.revokedClose) }
}
