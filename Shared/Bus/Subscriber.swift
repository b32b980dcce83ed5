import CZeroMQ
public import Events
public import Logging
import Metrics
public import ServiceLifecycle
import Threads

/// Listens to the publishers of a process's configuration, on a thread of its own: durable events arrive in order, once, and
/// without gaps (a gap is repaired from the publisher's log); transient ones as they come.
public final class Subscriber: Service {
    /// Given what has arrived, in order; `isRepaired`: it was read from a publisher's log, after a gap or at the start.
    public typealias Deliver = @Sendable (_ events: [Event], _ isRepaired: Bool) -> Void

    private let publishers: [ServiceName: BusEndpoints]
    private let logger: Logger
    private let isCongested: @Sendable () -> Bool
    private let deliver: Deliver
    private let wake = WakeSignal()
    /// Neither its thread nor ours interrupts a loop that gives events out: what comes meanwhile is then given out together.
    private let context = Context(interrupts: false)
    private let heard: HeardPublishers
    private let wallClock: @Sendable () -> Timestamp
    private let started = ContinuousClock.now

    private let received = Counter(label: "bus_received_events_total")
    private let repairs = Counter(label: "bus_gaps_repaired_total")
    private let losses = Counter(label: "bus_events_lost_total")

    private let queueMax: Int32
    private let backlogBytesMax: Int
    /// Messages that are read from a socket in one turn: more than are handed on, so that a burst waits in the backlog and not in the
    /// socket, which has less room.
    private static let readMax = 10_000
    /// Messages that are looked at before what they bring is handed on.
    private static let batchMax = 2_000
    private static let congestedPause = Duration.milliseconds(5)
    /// How often a question that the publisher's socket did not take is tried again.
    private static let connectRetry = Duration.milliseconds(100)
    private static let waitMax = Duration.seconds(1)
    /// An announcement that may have waited longer before it was read says nothing about its publisher's clock.
    private static let clockDelayMax = Duration.seconds(2)

    /// - Parameters:
    ///   - heard: told what is heard of the publishers.
    ///   - queueMax: how many messages of one publisher may wait in the socket; what comes beyond waits at the publisher, and what does
    ///     not fit there is repaired from the logs. The subscriber's thread empties the socket all the time, so it is small.
    ///   - backlogBytesMax: what the messages may hold that the thread has read while it could not hand them on, of the publishers of
    ///     each role.
    ///   - isCongested: asked on the subscriber's thread; while it is true nothing is handed on.
    ///   - wallClock: our clock, with which those of the publishers are compared.
    ///   - deliver: called on the subscriber's thread; it must not block.
    public init(
        publishers: [ServiceName: BusEndpoints], logger: Logger, heard: HeardPublishers = HeardPublishers(),
        queueMax: Int32 = 1_024, backlogBytesMax: Int = 64 << 20,
        isCongested: @escaping @Sendable () -> Bool = { false },
        wallClock: @escaping @Sendable () -> Timestamp = { .now }, deliver: @escaping Deliver
    ) {
        self.heard = heard
        self.wallClock = wallClock
        self.queueMax = queueMax
        self.backlogBytesMax = backlogBytesMax
        self.isCongested = isCongested
        self.publishers = publishers
        self.logger = logger
        self.deliver = deliver
    }

    public func state(of publisher: ServiceName) -> HeardPublishers.State { self.heard.state(of: publisher) }

    /// Listens until shutdown. Throws `BusError` when an endpoint is not an address.
    public func run() async throws {
        try await ServiceThread.run(name: "subscriber", interrupts: false, wake: self.wake) {
            try self.serve(until: $0)
        }
    }

    /// One publisher, as the thread sees it.
    private final class Followed {
        enum Replay {
            case none
            /// To be asked for then; the socket takes nothing since `since`.
            case due(at: ContinuousClock.Instant, since: ContinuousClock.Instant)
            case awaited(correlation: UInt64, until: ContinuousClock.Instant)
        }

        let name: ServiceName
        /// The role that its sockets have proved; on an open bus the one that it should have.
        let role: BusRole
        let commands: Socket
        var follower: LogFollower
        var replay = Replay.none
        var backoff = Backoff(from: .milliseconds(200), to: .seconds(5))
        /// The last replay failed, and that was logged.
        var isFailing = false
        /// It was heard in this turn, or it answered.
        var isNews = false
        var clock = ClockSkew()
        /// Its clock differs from ours, and that was logged.
        var isClockOff = false

        let failures: Counter
        let rewinds: Counter
        let changes: Counter
        let skew: Gauge

        init(name: ServiceName, role: BusRole, commands: Socket, start: ContinuousClock.Instant) {
            self.name = name
            self.role = role
            self.commands = commands
            self.follower = LogFollower(start: start)
            self.failures = Counter(label: "bus_replays_failed_total", dimensions: [("publisher", name.rawValue)])
            self.rewinds = Counter(label: "bus_log_rewinds_total", dimensions: [("publisher", name.rawValue)])
            self.changes = Counter(label: "bus_log_changes_total", dimensions: [("publisher", name.rawValue)])
            self.skew = Gauge(label: "bus_clock_skew_seconds", dimensions: [("publisher", name.rawValue)])
        }

        var isAwaiting: Bool { if case .awaited = self.replay { true } else { false } }

        /// When there is something to do for the replay at the latest.
        var due: ContinuousClock.Instant? {
            switch self.replay {
            case .none: nil
            case .due(let moment, _), .awaited(_, let moment): moment
            }
        }
    }

    /// The events that a turn delivers, in runs of those that were repaired and those that were not.
    private struct Batches {
        private(set) var runs: [(events: [Event], isRepaired: Bool)] = []

        mutating func append(_ events: [Event], isRepaired: Bool) {
            if self.runs.last?.isRepaired == isRepaired {
                self.runs[self.runs.count - 1].events += events
            } else {
                self.runs.append((events, isRepaired))
            }
        }
    }

    /// A socket on which publishers are heard.
    private struct Listening {
        let role: BusRole
        let socket: Socket
        /// When nothing waited in it or in the backlog: what comes was sent later.
        var emptyAt: ContinuousClock.Instant
        var backlog: MessageBacklog
    }

    private func serve(until isStopping: () -> Bool) throws {
        var listening: [Listening] = []
        var followed: [ServiceName: Followed] = [:]
        for (name, endpoints) in self.publishers {
            let role = endpoints.role
            if !listening.contains(where: { $0.role == role }) {
                listening.append(
                    Listening(
                        role: role, socket: try self.listeningSocket(), emptyAt: self.started,
                        backlog: MessageBacklog(bytesMax: self.backlogBytesMax)))
            }
            let socket = listening.first { $0.role == role }?.socket
            try socket?.connect(endpoints.events, endpoints.keys, to: role)
            let commands = try Socket(.dealer, in: self.context)
            try commands.set(ZMQ_IMMEDIATE, Int32(1))
            try commands.connect(endpoints.commands, endpoints.keys, to: role)
            followed[name] = Followed(name: name, role: role, commands: commands, start: self.started)
        }
        try self.follow(followed, listening, until: isStopping)
    }

    private func follow(
        _ followed: [ServiceName: Followed], _ listening: [Listening], until isStopping: () -> Bool
    ) throws {
        var listening = listening
        var poll = Poll(listening.map(\.socket), wake: self.wake.descriptor)
        // Answers come only to what was asked.
        var repairPoll = Poll(
            listening.map(\.socket) + followed.values.map(\.commands), wake: self.wake.descriptor)
        var pause = Poll([], wake: self.wake.descriptor)
        var isPaused = false
        var batches = Batches()
        for publisher in followed.values {
            try self.carryOut([publisher.follower.start()], for: publisher, into: &batches)
        }
        while !isStopping() {
            let isCongested = self.isCongested()
            if isCongested != isPaused {
                isPaused = isCongested
                isPaused ? self.heard.pause() : self.heard.resume()
            }
            guard !isPaused else {
                for index in listening.indices {
                    _ = try listening[index].backlog.read(from: listening[index].socket, upTo: Self.readMax)
                }
                try pause.wait(timeout: Self.congestedPause)
                continue
            }
            let due = followed.values.compactMap(\.due).min()
            let isBehind = listening.contains { !$0.backlog.isEmpty }
            let wait = isBehind ? .zero : min(Self.waitMax, max(.zero, (due ?? .now + Self.waitMax) - .now))
            // Rounded up: the library waits for whole milliseconds.
            let timeout = wait + .milliseconds(1)
            if followed.values.contains(where: \.isAwaiting) {
                try repairPoll.wait(timeout: timeout)
            } else {
                try poll.wait(timeout: timeout)
            }
            self.wake.clear()
            batches = Batches()
            for index in listening.indices { try self.receive(from: &listening[index], followed, into: &batches) }
            for publisher in followed.values { try self.continueReplay(of: publisher, into: &batches) }
            for (events, isRepaired) in batches.runs {
                self.received.increment(by: events.count)
                self.deliver(events, isRepaired)
            }
            for publisher in followed.values where publisher.isNews {
                publisher.isNews = false
                self.heard.note(
                    publisher.name, at: publisher.follower.position, skew: publisher.clock.estimate)
            }
        }
    }

    /// One for the publishers of each role: what comes in on it is theirs.
    private func listeningSocket() throws(BusError) -> Socket {
        let socket = try Socket(.sub, in: self.context)
        try socket.set(ZMQ_RCVHWM, self.queueMax)
        for topic in [EventCodec.durableTopic, EventCodec.transientTopic, Announcement.topic] {
            try socket.subscribe(to: topic)
        }
        return socket
    }

    private func receive(
        from listening: inout Listening, _ followed: [ServiceName: Followed], into batches: inout Batches
    ) throws {
        let role = listening.role
        /// `nil`: it is not followed, or only pretends to be that publisher.
        func named(_ name: ServiceName) -> Followed? { followed[name].flatMap { $0.role == role ? $0 : nil } }

        let now = ContinuousClock.now
        let isRead = try listening.backlog.read(from: listening.socket, upTo: Self.readMax)
        for frames in listening.backlog.removeFirst(Self.batchMax) {
            if let event = EventCodec.event(from: frames) {
                guard let publisher = named(event.publisher) else { continue }
                let actions = publisher.follower.received(event, sentAfter: listening.emptyAt)
                try self.carryOut(actions, for: publisher, into: &batches)
                publisher.isNews = true
            } else if let announcement = Announcement(frames: frames), let publisher = named(announcement.publisher) {
                let actions = publisher.follower.announced(announcement.position, sentAfter: listening.emptyAt)
                try self.carryOut(actions, for: publisher, into: &batches)
                if now - listening.emptyAt < Self.clockDelayMax { self.compareClocks(publisher, announcement.clock) }
                publisher.isNews = true
            }
        }
        if isRead, listening.backlog.isEmpty { listening.emptyAt = now }
    }

    private func carryOut(
        _ actions: [LogFollower.Action], for publisher: Followed, into batches: inout Batches
    ) throws {
        for action in actions {
            switch action {
            case .deliver(let events, let isRepaired): batches.append(events, isRepaired: isRepaired)
            case .ask: try self.ask(publisher, since: .now)
            case .lost(let epoch, let seqs):
                self.losses.increment(by: Int(clamping: (seqs.upperBound - seqs.lowerBound).addingClamped(1)))
                self.logger.warning(
                    "Events were missed and are no longer in the log",
                    metadata: [
                        "publisher": "\(publisher.name.rawValue)", "epoch": "\(epoch)",
                        "from": "\(seqs.lowerBound)", "through": "\(seqs.upperBound)",
                    ])
            case .wentBack(let position, let seq):
                publisher.rewinds.increment()
                self.logger.warning(
                    "A publisher's log went back (failover or restore); it is followed from where it was cut",
                    metadata: [
                        "publisher": "\(publisher.name.rawValue)", "from": "\(position.seq)", "to": "\(seq)",
                    ])
            case .changedLog(let position, let head):
                publisher.changes.increment()
                self.logger.warning(
                    "A publisher has another log (restore or new database); it is followed from the last contact on",
                    metadata: [
                        "publisher": "\(publisher.name.rawValue)", "from": "\(position)", "to": "\(head)",
                    ])
            }
        }
    }

    /// - Parameter since: when it was tried first.
    private func ask(_ publisher: Followed, since: ContinuousClock.Instant) throws {
        let now = ContinuousClock.now
        let correlation = UInt64.random(in: 0...UInt64.max)
        let request = CommandRequest(
            correlation: correlation, timeLeft: LogFollower.replayTimeout, name: ReplayRequest.name,
            body: JSON.encode(publisher.follower.request(at: now)))
        if try publisher.commands.send(request.frames) {
            publisher.replay = .awaited(correlation: correlation, until: now + LogFollower.replayTimeout)
        } else if now - since < LogFollower.replayTimeout {
            publisher.replay = .due(at: now + Self.connectRetry, since: since)
        } else {
            self.fail(publisher, "no connection")
            publisher.replay = .due(at: now + Self.connectRetry, since: now)
        }
    }

    private func continueReplay(of publisher: Followed, into batches: inout Batches) throws {
        // An answer that came too late would end every wait.
        if !publisher.isAwaiting { while try publisher.commands.receive() != nil {} }
        switch publisher.replay {
        case .none: break
        case .due(let moment, let since):
            if moment <= .now { try self.ask(publisher, since: since) }
        case .awaited(let correlation, let until):
            guard let reply = try self.reply(to: correlation, of: publisher) else {
                if until <= .now { self.failAndRetry(publisher, "no answer in time") }
                return
            }
            try self.take(reply, of: publisher, into: &batches)
        }
    }

    private func reply(to correlation: UInt64, of publisher: Followed) throws -> CommandReply? {
        while let frames = try publisher.commands.receive() {
            if let reply = CommandReply(frames: frames), reply.correlation == correlation { return reply }
        }
        return nil
    }

    private func take(_ reply: CommandReply, of publisher: Followed, into batches: inout Batches) throws {
        switch reply.result {
        case .failure(let failure):
            publisher.isNews = true
            self.failAndRetry(publisher, "\(failure)")
        case .success(let bytes):
            guard let page = ReplayPage(bytes: bytes) else { return self.failAndRetry(publisher, "not a page") }
            let isFollowed = publisher.follower.position != nil
            publisher.replay = .none
            publisher.backoff.reset()
            if publisher.isFailing {
                publisher.isFailing = false
                self.logger.notice("Replays succeed again", metadata: ["publisher": "\(publisher.name.rawValue)"])
            }
            try self.carryOut(publisher.follower.replayed(page), for: publisher, into: &batches)
            // The first contact brings the newest events without that any were missed.
            if isFollowed, !page.events.isEmpty { self.repairs.increment() }
            publisher.isNews = true
        }
    }

    private func compareClocks(_ publisher: Followed, _ sent: Timestamp) {
        publisher.clock.record(sent: sent, received: self.wallClock())
        guard let estimate = publisher.clock.estimate else { return }
        publisher.skew.record(Double(estimate.milliseconds) / 1000)
        let isLarge = publisher.clock.isLarge
        guard isLarge != publisher.isClockOff else { return }
        publisher.isClockOff = isLarge
        let metadata: Logger.Metadata = ["publisher": "\(publisher.name.rawValue)", "skew": "\(estimate)"]
        if isLarge {
            self.logger.warning("A publisher's clock differs from ours by more than a second", metadata: metadata)
        } else {
            self.logger.notice("A publisher's clock agrees with ours again", metadata: metadata)
        }
    }

    private func failAndRetry(_ publisher: Followed, _ reason: String) {
        self.fail(publisher, reason)
        let next = ContinuousClock.now + publisher.backoff.pause()
        publisher.replay = .due(at: next, since: next)
    }

    /// Counts each, and logs the first of an outage.
    private func fail(_ publisher: Followed, _ reason: String) {
        publisher.failures.increment()
        publisher.follower.replayFailed()
        guard !publisher.isFailing else { return }
        publisher.isFailing = true
        self.logger.warning(
            "A publisher's log does not answer: its durable events wait until it does",
            metadata: ["publisher": "\(publisher.name.rawValue)", "reason": "\(reason)"])
    }
}
