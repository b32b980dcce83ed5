import CZeroMQ
public import Events
public import Logging
import Metrics
import NIOConcurrencyHelpers
public import ServiceLifecycle
import Threads

/// Answers the commands of other processes: one ROUTER socket on a thread of its own, handlers as tasks.
public final class CommandServer: Service {
    /// Given a command's body, and the role that its sender has proved; that is `nil` on an open bus.
    public typealias Handler = @Sendable (_ body: [UInt8], _ asker: BusRole?) async throws -> [UInt8]

    private struct Registration: Sendable {
        let askers: Set<BusRole>
        let handler: Handler
    }

    private struct Work: Sendable {
        let peer: [UInt8]
        let role: BusRole?
        let request: CommandRequest
        /// When its asker gives up.
        let deadline: ContinuousClock.Instant
    }

    /// Commands that were taken and are not answered yet.
    private struct Open {
        var count = 0
        var bytes = 0
    }

    private let endpoint: String
    private let keys: BusKeys?
    private let logger: Logger
    private let registrations = NIOLockedValueBox<[String: Registration]>([:])
    private let replies: Mailbox<[[UInt8]]>
    private let wake = WakeSignal()
    private let open = NIOLockedValueBox(Open())
    private let openMax: Int
    private let metrics = QueueMetrics(queue: "commands")
    private let refused = Counter(label: "bus_commands_refused_total")
    private let forbidden = Counter(label: "bus_commands_forbidden_total")
    private let malformed = Counter(label: "bus_commands_malformed_total")

    /// How long the socket stays after the last answer: an asker's socket drops what it has not read when the connection ends
    /// (`ZMQ_IMMEDIATE`).
    private static let farewell = Duration.milliseconds(100)
    /// Messages taken from the socket before replies go out again.
    private static let batchMax = 1000
    /// What the commands that are carried out at the same time may hold.
    private static let openBytesMax = 64 << 20
    /// Replies that may wait for the thread, and what they may hold.
    private static let repliesMax = 20_000
    private static let repliesBytesMax = 64 << 20
    /// Replies that may wait for one asker's connection: it has no more questions open.
    private static let queueMax: Int32 = 10_000

    /// - Parameters:
    ///   - keys: what it proves itself with, and whom it lets ask; `nil`: everyone may ask anything.
    ///   - openMax: commands that are carried out at the same time; one more is answered `unavailable`.
    public init(endpoint: String, keys: BusKeys? = nil, logger: Logger, openMax: Int = 10_000) {
        self.openMax = openMax
        self.keys = keys
        self.endpoint = endpoint
        self.logger = logger
        let wake = self.wake
        self.replies = Mailbox(
            capacity: Self.repliesMax, bytesMax: Self.repliesBytesMax, metrics: QueueMetrics(queue: "replies"),
            measure: { $0.reduce(0) { $0 + $1.count } }
        ) { wake.raise() }
    }

    /// Registers the answer to a kind of command, before `run`; it is carried out for its `askers` only. A thrown `CommandFailure`
    /// reaches the asker as it is, any other error as `internalError`.
    public func answer<C: Command>(_ type: C.Type, _ body: @escaping @Sendable (C) async throws -> C.Answer) {
        self.answer(type) { command, _ in try await body(command) }
    }

    /// The same, for an answer that depends on the role of who asks; that is `nil` on an open bus.
    public func answer<C: Command>(
        _ type: C.Type, _ body: @escaping @Sendable (C, BusRole?) async throws -> C.Answer
    ) {
        self.answer(C.name, from: C.askers) { bytes, asker in
            guard let command = try? JSON.decode(C.self, from: bytes) else {
                // `try?`: what is wrong with it is the asker's business, and it knows what it sent.
                throw CommandFailure(.invalid, "\(C.name) does not decode")
            }
            return JSON.encode(try await body(command, asker))
        }
    }

    /// Registers an answer in bytes of its own form.
    public func answer(
        _ name: String, from askers: Set<BusRole>, _ handler: @escaping @Sendable ([UInt8]) async throws -> [UInt8]
    ) {
        self.answer(name, from: askers) { bytes, _ in try await handler(bytes) }
    }

    private func answer(_ name: String, from askers: Set<BusRole>, _ handler: @escaping Handler) {
        self.registrations.withLockedValue { $0[name] = Registration(askers: askers, handler: handler) }
    }

    /// Serves until shutdown, then answers what it has taken and refuses the rest. Throws `BusError` when the endpoint cannot be
    /// bound, or the socket fails.
    public func run() async throws {
        let (requests, inbox) = AsyncStream.makeStream(of: Work.self)
        let socket = try Self.bind(self.endpoint, self.keys, Context())
        let stop = NIOLockedValueBox(false)
        let failure = NIOLockedValueBox<(any Error)?>(nil)
        let thread = WorkerThread(name: "commands") { [self] in
            do {
                try self.serve(socket.take(), inbox: inbox, stop: stop)
            } catch {
                failure.withLockedValue { $0 = error }
            }
            inbox.finish()
        }
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                for await work in requests {
                    group.addTask { await self.carryOut(work) }
                }
            }
        } onGracefulShutdown: {
            inbox.finish()
        }
        stop.withLockedValue { $0 = true }
        self.wake.raise()
        await thread.join()
        if let error = failure.withLockedValue({ $0 }) { throw error }
    }

    private static func bind(_ endpoint: String, _ keys: BusKeys?, _ context: Context) throws -> SocketHandover {
        let socket = try Socket(.router, in: context)
        // A reply to a peer that has gone fails instead of vanishing.
        try socket.set(ZMQ_ROUTER_MANDATORY, Int32(1))
        try socket.set(ZMQ_SNDHWM, Self.queueMax)
        try socket.bind(endpoint, keys)
        return SocketHandover(socket)
    }

    private func serve(_ socket: Socket, inbox: AsyncStream<Work>.Continuation, stop: NIOLockedValueBox<Bool>) throws {
        var poll = Poll([socket], wake: self.wake.descriptor)
        var arrivals = ArrivalClock(at: .now)
        var end: ContinuousClock.Instant?
        while end.map({ ContinuousClock.now < $0 }) ?? true {
            try poll.wait(timeout: end == nil ? ArrivalClock.waitMax : .milliseconds(10))
            arrivals.waited(until: .now)
            self.wake.clear()
            // Read first: what was answered before the stop goes out now.
            if end == nil, stop.withLockedValue({ $0 }) { end = .now + Self.farewell }
            for reply in self.replies.drain() { _ = try socket.send(reply) }
            try self.receive(from: socket, &arrivals, inbox)
        }
    }

    private func receive(
        from socket: Socket, _ arrivals: inout ArrivalClock, _ inbox: AsyncStream<Work>.Continuation
    ) throws {
        let now = ContinuousClock.now
        for _ in 0..<Self.batchMax {
            guard let (frames, role) = try socket.receiveWithRole() else { return arrivals.foundEmpty(at: now) }
            guard let peer = frames.first, let request = CommandRequest(frames: frames.dropFirst()) else {
                self.malformed.increment()
                continue
            }
            // It may have waited unread, and its asker's clock went on.
            let deadline = arrivals.earliest + request.timeLeft
            self.take(Work(peer: peer, role: role, request: request, deadline: deadline), inbox)
        }
        arrivals.stoppedReading(at: now)
    }

    private func take(_ work: Work, _ inbox: AsyncStream<Work>.Continuation) {
        let bytes = work.request.body.count
        self.metrics.add(bytes: bytes)
        let hasRoom = self.open.withLockedValue { open in
            open.count += 1
            open.bytes += bytes
            return open.count <= self.openMax && (open.count == 1 || open.bytes <= Self.openBytesMax)
        }
        if hasRoom, case .enqueued = inbox.yield(work) { return }
        self.refused.increment()
        if !hasRoom { self.metrics.refuse() }
        self.finish(work, .failure(CommandFailure(.unavailable, hasRoom ? "shutting down" : "too many commands")))
    }

    private func carryOut(_ work: Work) async {
        guard work.deadline > .now else {
            return self.finish(work, .failure(CommandFailure(.deadlineExceeded, "the command came after its deadline")))
        }
        guard let registration = self.registrations.withLockedValue({ $0[work.request.name] }) else {
            return self.finish(work, .failure(CommandFailure(.unknownCommand, "unknown command \(work.request.name)")))
        }
        guard self.admits(work, registration) else {
            self.forbidden.increment()
            return self.finish(
                work, .failure(CommandFailure(.forbidden, "\(work.request.name) is not for this process to send")))
        }
        do {
            self.finish(work, .success(try await registration.handler(work.request.body, work.role)))
        } catch let failure as CommandFailure {
            self.finish(work, .failure(failure))
        } catch {
            self.logger.error("A command failed", metadata: ["command": "\(work.request.name)", "error": "\(error)"])
            self.finish(work, .failure(CommandFailure(.internalError, "the command failed")))
        }
    }

    private func admits(_ work: Work, _ registration: Registration) -> Bool {
        guard self.keys != nil else { return true }
        return work.role.map(registration.askers.contains) ?? false
    }

    private func finish(_ work: Work, _ result: Result<[UInt8], CommandFailure>) {
        let bytes = work.request.body.count
        self.open.withLockedValue { open in
            open.count -= 1
            open.bytes -= bytes
        }
        self.metrics.remove(bytes: bytes)
        self.replies.post([work.peer] + CommandReply(correlation: work.request.correlation, result: result).frames)
    }
}
