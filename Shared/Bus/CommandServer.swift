import CZeroMQ
public import Events
public import Logging
import Metrics
import NIOConcurrencyHelpers
public import ServiceLifecycle
import Threads

/// Answers the commands of other processes: one ROUTER socket on a thread of its own, handlers as tasks.
public final class CommandServer: Service {
    public typealias Handler = @Sendable ([UInt8]) async throws -> [UInt8]

    private struct Work: Sendable {
        let peer: [UInt8]
        let request: [[UInt8]]
    }

    private let endpoint: String
    private let logger: Logger
    private let handlers = NIOLockedValueBox<[String: Handler]>([:])
    private let replies: Mailbox<[[UInt8]]>
    private let wake = WakeSignal()
    private let refused = Counter(label: "bus_commands_refused_total")

    /// Commands that wait for a task; one more is answered `unavailable`.
    private static let waitingMax = 10_000

    public init(endpoint: String, logger: Logger) {
        self.endpoint = endpoint
        self.logger = logger
        let wake = self.wake
        self.replies = Mailbox(capacity: 100_000) { wake.raise() }
    }

    /// Registers the answer to a kind of command, before `run`. A thrown `CommandFailure` reaches the asker as it is, any other
    /// error as `internalError`.
    public func answer<C: Command>(_ type: C.Type, _ body: @escaping @Sendable (C) async throws -> C.Answer) {
        self.answer(C.name) { bytes in
            guard let command = try? JSON.decode(C.self, from: bytes) else {
                // `try?`: what is wrong with it is the asker's business, and it knows what it sent.
                throw CommandFailure(.invalid, "\(C.name) does not decode")
            }
            return JSON.encode(try await body(command))
        }
    }

    /// Registers an answer in bytes of its own form.
    public func answer(_ name: String, _ handler: @escaping Handler) {
        self.handlers.withLockedValue { $0[name] = handler }
    }

    /// Serves until shutdown. Throws `BusError` when the endpoint cannot be bound.
    public func run() async throws {
        let context = Context()
        let (requests, inbox) = AsyncStream.makeStream(of: Work.self, bufferingPolicy: .bufferingOldest(Self.waitingMax))
        let socket = try Self.bind(self.endpoint, context)
        let stop = NIOLockedValueBox(false)
        let thread = WorkerThread(name: "commands") { [self] in self.serve(socket.take(), inbox: inbox, stop: stop) }
        await withDiscardingTaskGroup { group in
            for await work in requests.cancelOnGracefulShutdown() {
                group.addTask { await self.carryOut(work) }
            }
        }
        stop.withLockedValue { $0 = true }
        self.wake.raise()
        await thread.join()
    }

    /// A socket on its way to the thread that will own it: ZeroMQ allows the move with a full barrier, which starting a thread is.
    private final class Handover: @unchecked Sendable {
        // Safe: taken once, by the thread that was started after it was set.
        private var socket: Socket?

        init(_ socket: Socket) { self.socket = socket }

        func take() -> Socket {
            guard let socket = self.socket else { preconditionFailure("the socket was taken before") }
            self.socket = nil
            return socket
        }
    }

    private static func bind(_ endpoint: String, _ context: Context) throws -> Handover {
        let socket = try Socket(.router, in: context)
        // A reply to a peer that has gone fails instead of vanishing.
        try socket.set(ZMQ_ROUTER_MANDATORY, Int32(1))
        try socket.bind(endpoint)
        return Handover(socket)
    }

    private func serve(_ socket: Socket, inbox: AsyncStream<Work>.Continuation, stop: NIOLockedValueBox<Bool>) {
        var poll = Poll([socket], wake: self.wake.descriptor)
        do {
            while !stop.withLockedValue({ $0 }) {
                try poll.wait(timeout: .seconds(5))
                self.wake.clear()
                for reply in self.replies.drain() { _ = try socket.send(reply) }
                while let frames = try socket.receive() {
                    guard let peer = frames.first else { continue }
                    let work = Work(peer: peer, request: Array(frames.dropFirst()))
                    guard case .dropped = inbox.yield(work) else { continue }
                    self.refused.increment()
                    self.reply(work, .failure(CommandFailure(.unavailable, "too many commands")))
                }
            }
            for reply in self.replies.drain() { _ = try socket.send(reply) }
        } catch {
            self.logger.error("The command socket failed", metadata: ["error": "\(error)"])
        }
        inbox.finish()
    }

    private func carryOut(_ work: Work) async {
        guard let request = CommandRequest(frames: work.request[...]) else { return }
        guard request.deadline >= .now else { return }
        guard let handler = self.handlers.withLockedValue({ $0[request.name] }) else {
            return self.reply(work, .failure(CommandFailure(.unknownCommand, "unknown command \(request.name)")))
        }
        do {
            self.reply(work, .success(try await handler(request.body)))
        } catch let failure as CommandFailure {
            self.reply(work, .failure(failure))
        } catch {
            self.logger.error("A command failed", metadata: ["command": "\(request.name)", "error": "\(error)"])
            self.reply(work, .failure(CommandFailure(.internalError, "the command failed")))
        }
    }

    private func reply(_ work: Work, _ result: Result<[UInt8], CommandFailure>) {
        guard let request = CommandRequest(frames: work.request[...]) else { return }
        let reply = CommandReply(correlation: request.correlation, result: result)
        self.replies.post([work.peer] + reply.frames)
    }
}
