import CZeroMQ
public import Events
public import Logging
import Metrics
public import ServiceLifecycle
import Threads

/// Listens to the publishers of a process's configuration, on a thread of its own: durable events arrive in order, once, and
/// without holes (a hole is repaired from the publisher's log); transient ones as they come.
public final class Subscriber: Service {
    private let publishers: [ServiceName: BusEndpoints]
    private let logger: Logger
    private let isCongested: @Sendable () -> Bool
    private let deliver: @Sendable ([Event]) -> Void
    private let wake = WakeSignal()
    /// Neither its thread nor ours interrupts a loop that gives events out: what comes meanwhile is then given out together.
    private let context = Context(interrupts: false)
    private let heard: HeardPublishers
    private let started = Timestamp.now

    private let received = Counter(label: "bus_received_events_total")
    private let repairs = Counter(label: "bus_gaps_repaired_total")
    private let losses = Counter(label: "bus_events_lost_total")

    private let queueMax: Int32
    /// Messages taken from the socket before they are handed on.
    private static let batchMax = 2_000
    private static let congestedPause = Duration.milliseconds(5)
    private static let replayTimeout = Duration.seconds(5)
    private static let replayRetry = Duration.milliseconds(200)

    /// - Parameters:
    ///   - heard: told what is heard of the publishers.
    ///   - queueMax: how many messages may wait for the subscriber's thread; what comes beyond is repaired from the logs.
    ///   - isCongested: asked on the subscriber's thread; while it is true events wait in the socket's queue.
    ///   - deliver: called on the subscriber's thread with what has arrived, in order; it must not block.
    public init(
        publishers: [ServiceName: BusEndpoints], logger: Logger, heard: HeardPublishers = HeardPublishers(),
        queueMax: Int32 = 100_000,
        isCongested: @escaping @Sendable () -> Bool = { false }, deliver: @escaping @Sendable ([Event]) -> Void
    ) {
        self.heard = heard
        self.queueMax = queueMax
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
        let name: ServiceName
        /// The role that its sockets have proved; on an open bus the one that it should have.
        let role: BusRole
        let commands: Socket
        var follower: LogFollower
        var awaited: (correlation: UInt64, until: ContinuousClock.Instant)?
        var retry: (request: ReplayRequest, at: ContinuousClock.Instant)?
        /// It was heard in this turn.
        var isNews = false

        init(name: ServiceName, role: BusRole, commands: Socket, since: Timestamp) {
            self.name = name
            self.role = role
            self.commands = commands
            self.follower = LogFollower(since: since)
        }
    }

    private func serve(until isStopping: () -> Bool) throws {
        var sockets: [BusRole: Socket] = [:]
        var followed: [ServiceName: Followed] = [:]
        for (name, endpoints) in self.publishers {
            let role = endpoints.role
            let socket = try sockets[role] ?? self.listeningSocket()
            sockets[role] = socket
            try socket.connect(endpoints.events, endpoints.keys, to: role)
            let commands = try Socket(.dealer, in: self.context)
            try commands.set(ZMQ_IMMEDIATE, Int32(1))
            try commands.connect(endpoints.commands, endpoints.keys, to: role)
            followed[name] = Followed(name: name, role: role, commands: commands, since: self.started)
        }
        var poll = Poll(Array(sockets.values), wake: self.wake.descriptor)
        // Answers come only to what was asked.
        var repairPoll = Poll(sockets.values + followed.values.map(\.commands), wake: self.wake.descriptor)
        var pause = Poll([], wake: self.wake.descriptor)
        while !isStopping() {
            guard !self.isCongested() else {
                try pause.wait(timeout: Self.congestedPause)
                continue
            }
            let isRepairing = followed.values.contains { $0.awaited != nil || $0.retry != nil }
            if isRepairing {
                try repairPoll.wait(timeout: .milliseconds(50))
            } else {
                try poll.wait(timeout: .seconds(1))
            }
            self.wake.clear()
            var batch: [Event] = []
            for (role, socket) in sockets { try self.receive(from: socket, of: role, followed, into: &batch) }
            if isRepairing {
                for publisher in followed.values { try self.continueReplay(of: publisher, into: &batch) }
            }
            if !batch.isEmpty {
                self.received.increment(by: batch.count)
                self.deliver(batch)
            }
            for publisher in followed.values where publisher.isNews {
                publisher.isNews = false
                self.heard.note(publisher.name, at: publisher.follower.position)
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
        from socket: Socket, of role: BusRole, _ followed: [ServiceName: Followed], into batch: inout [Event]
    ) throws {
        /// `nil`: it is not followed, or only pretends to be that publisher.
        func named(_ name: ServiceName) -> Followed? { followed[name].flatMap { $0.role == role ? $0 : nil } }

        for _ in 0..<Self.batchMax {
            guard let frames = try socket.receive() else { return }
            if let event = EventCodec.event(from: frames) {
                guard let publisher = named(event.publisher) else { continue }
                try self.carryOut([publisher.follower.received(event)], for: publisher, into: &batch)
                publisher.isNews = true
            } else if let announcement = Announcement(frames: frames), let publisher = named(announcement.publisher) {
                try self.carryOut([publisher.follower.announced(announcement.position)], for: publisher, into: &batch)
                publisher.isNews = true
            }
        }
    }

    private func carryOut(
        _ actions: [LogFollower.Action], for publisher: Followed, into batch: inout [Event]
    ) throws {
        for action in actions {
            switch action {
            case .deliver(let events): batch.append(contentsOf: events)
            case .request(let request): try self.ask(request, publisher)
            case .lost(let epoch, let from, let through):
                self.losses.increment(by: Int(clamping: through.subtractingClamped(from).addingClamped(1)))
                self.logger.warning(
                    "Events were missed and are no longer in the log",
                    metadata: [
                        "publisher": "\(publisher.name.rawValue)", "epoch": "\(epoch)", "from": "\(from)",
                        "through": "\(through)",
                    ])
            case .nothing: break
            }
        }
    }

    private func ask(_ replay: ReplayRequest, _ publisher: Followed) throws {
        let correlation = UInt64.random(in: 0...UInt64.max)
        let request = CommandRequest(
            correlation: correlation, deadline: .now + Self.replayTimeout, name: ReplayRequest.name,
            body: JSON.encode(replay))
        if try publisher.commands.send(request.frames) {
            publisher.awaited = (correlation, .now + Self.replayTimeout)
            publisher.retry = nil
            // A first contact asks for the newest events without having missed any.
            if replay.after != nil { self.repairs.increment() }
        } else {
            publisher.retry = (replay, .now + Self.replayRetry)
        }
    }

    private func continueReplay(of publisher: Followed, into batch: inout [Event]) throws {
        while let frames = try publisher.commands.receive() {
            guard let reply = CommandReply(frames: frames), reply.correlation == publisher.awaited?.correlation else {
                continue
            }
            publisher.awaited = nil
            if case .success(let bytes) = reply.result, let page = ReplayPage(bytes: bytes) {
                try self.carryOut(publisher.follower.replayed(page), for: publisher, into: &batch)
                publisher.isNews = true
            } else {
                publisher.follower.replayFailed()
            }
        }
        let now = ContinuousClock.now
        if let awaited = publisher.awaited, awaited.until <= now {
            publisher.awaited = nil
            publisher.follower.replayFailed()
        }
        if let retry = publisher.retry, retry.at <= now { try self.ask(retry.request, publisher) }
    }
}
