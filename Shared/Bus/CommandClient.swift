import CZeroMQ
public import Events
public import Logging
import NIOConcurrencyHelpers
public import ServiceLifecycle
import Threads

/// Asks other processes: each call is answered, or it fails by its deadline.
public final class CommandClient: Service {
    private struct Call: Sendable {
        let service: ServiceName
        let name: String
        let body: [UInt8]
        let correlation: UInt64
        let deadline: ContinuousClock.Instant
        /// Until then it waits for a connection; afterwards nobody is there.
        let connectBy: ContinuousClock.Instant
    }

    private struct Waiting {
        let continuation: CheckedContinuation<Result<[UInt8], CommandFailure>, Never>
        let deadline: ContinuousClock.Instant
        /// What its command holds.
        let bytes: Int
    }

    private struct State {
        var nextCorrelation: UInt64 = 0
        var waiting: [UInt64: Waiting] = [:]
        var bytes = 0
        var isStopped = false
    }

    private let endpoints: [ServiceName: BusEndpoints]
    private let logger: Logger
    private let state = NIOLockedValueBox(State())
    private let calls: Mailbox<Call>
    private let wake = WakeSignal()
    private let context = Context()

    private let metrics = QueueMetrics(queue: "calls")

    /// Calls that wait for their answers, and what they may hold.
    private static let callsMax = 20_000
    private static let callsBytesMax = 64 << 20
    private static let connectMax = Duration.milliseconds(500)
    /// How late a deadline may be noticed while calls are waiting.
    private static let tick = Duration.milliseconds(20)

    public init(endpoints: [ServiceName: BusEndpoints], logger: Logger) {
        self.endpoints = endpoints
        self.logger = logger
        let wake = self.wake
        // What is in it waits for its answer, too, and is bounded and counted as that.
        self.calls = Mailbox(capacity: .max) { wake.raise() }
    }

    /// Sends a command and awaits its answer. Throws `CommandFailure`: `unavailable` when nobody answers there,
    /// `deadlineExceeded` when no answer came in time (it may have happened all the same), or what the other side said.
    public func call<C: Command>(_ command: C, timeout: Duration = .seconds(5)) async throws(CommandFailure) -> C.Answer
    {
        let bytes = try await self.call(C.service, C.name, body: JSON.encode(command), timeout: timeout)
        do {
            return try JSON.decode(C.Answer.self, from: bytes)
        } catch {
            throw CommandFailure(.internalError, "the answer to \(C.name) does not decode")
        }
    }

    /// The same in bytes, for callers that pass commands on.
    public func call(
        _ service: ServiceName, _ name: String, body: [UInt8], timeout: Duration = .seconds(5)
    ) async throws(CommandFailure) -> [UInt8] {
        let correlation = self.state.withLockedValue { state -> UInt64 in
            state.nextCorrelation += 1
            return state.nextCorrelation
        }
        let now = ContinuousClock.now
        let call = Call(
            service: service, name: name, body: body, correlation: correlation, deadline: now + timeout,
            connectBy: now + min(timeout, Self.connectMax))
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.metrics.add(bytes: body.count)
                let refusal = self.state.withLockedValue { state -> String? in
                    if state.isStopped { return "shutting down" }
                    guard state.waiting.count < Self.callsMax,
                        state.waiting.isEmpty || state.bytes + body.count <= Self.callsBytesMax
                    else { return "too many commands" }
                    state.waiting[correlation] = Waiting(
                        continuation: continuation, deadline: call.deadline, bytes: body.count)
                    state.bytes += body.count
                    return nil
                }
                if let refusal {
                    self.metrics.remove(bytes: body.count)
                    self.metrics.refuse()
                    continuation.resume(returning: .failure(CommandFailure(.unavailable, refusal)))
                } else if Task.isCancelled {
                    self.finish(correlation, .failure(CommandFailure(.deadlineExceeded, "cancelled")))
                } else if !self.calls.post(call) {
                    self.finish(correlation, .failure(CommandFailure(.unavailable, "too many commands")))
                }
            }
        } onCancel: {
            self.finish(correlation, .failure(CommandFailure(.deadlineExceeded, "cancelled")))
        }
        return try result.get()
    }

    /// Asks until shutdown; calls that are under way then fail as unavailable. It goes first in a process's list of services, so
    /// that it ends last. Throws `BusError` when an endpoint is not an address.
    public func run() async throws {
        // Whatever ends it, nobody waits for an answer that cannot come.
        defer { self.stop() }
        try await ServiceThread.run(name: "command-client", wake: self.wake) { try self.serve(until: $0) }
    }

    private func stop() {
        let waiting = self.state.withLockedValue { state -> [UInt64] in
            state.isStopped = true
            return Array(state.waiting.keys)
        }
        for correlation in waiting { self.finish(correlation, .failure(CommandFailure(.unavailable, "shutting down"))) }
    }

    private func finish(_ correlation: UInt64, _ result: Result<[UInt8], CommandFailure>) {
        let waiting = self.state.withLockedValue { state in
            let waiting = state.waiting.removeValue(forKey: correlation)
            state.bytes -= waiting?.bytes ?? 0
            return waiting
        }
        if let waiting { self.metrics.remove(bytes: waiting.bytes) }
        waiting?.continuation.resume(returning: result)
    }

    private func serve(until isStopping: () -> Bool) throws {
        var sockets: [ServiceName: Socket] = [:]
        for (service, endpoints) in self.endpoints {
            let socket = try Socket(.dealer, in: self.context)
            // Nothing is queued for a peer that is not connected: a command must not be carried out long after it failed.
            try socket.set(ZMQ_IMMEDIATE, Int32(1))
            try socket.connect(endpoints.commands, endpoints.keys, to: endpoints.role)
            sockets[service] = socket
        }
        var poll = Poll(Array(sockets.values), wake: self.wake.descriptor)
        var unsent: [Call] = []
        while !isStopping() {
            let isIdle = unsent.isEmpty && self.state.withLockedValue { $0.waiting.isEmpty }
            try poll.wait(timeout: isIdle ? .seconds(5) : Self.tick)
            self.wake.clear()
            unsent = try (unsent + self.calls.drain()).filter { try !self.send($0, sockets) }
            for socket in sockets.values {
                while let frames = try socket.receive() {
                    if let reply = CommandReply(frames: frames) { self.finish(reply.correlation, reply.result) }
                }
            }
            self.expire()
        }
    }

    /// `false`: not connected yet, try again.
    private func send(_ call: Call, _ sockets: [ServiceName: Socket]) throws -> Bool {
        guard let socket = sockets[call.service] else {
            self.finish(
                call.correlation, .failure(CommandFailure(.unavailable, "\(call.service.rawValue) is not configured")))
            return true
        }
        let now = ContinuousClock.now
        let request = CommandRequest(
            correlation: call.correlation, timeLeft: call.deadline - now, name: call.name, body: call.body)
        if try socket.send(request.frames) { return true }
        guard now >= call.connectBy else { return false }
        self.finish(
            call.correlation, .failure(CommandFailure(.unavailable, "\(call.service.rawValue) cannot be reached")))
        return true
    }

    private func expire() {
        let now = ContinuousClock.now
        let late = self.state.withLockedValue { state in state.waiting.filter { $0.value.deadline <= now }.map(\.key) }
        for correlation in late {
            self.finish(correlation, .failure(CommandFailure(.deadlineExceeded, "no answer in time")))
        }
    }
}
