public import Logging
import Threads

/// A thread that serves WebSocket connections through one handler, which no other thread sees; messages reach it by mailbox.
public final class Loop<Handler: LoopHandler>: Sendable {
    private let libwebsockets: LibwebsocketsContext
    private let mailbox: Mailbox<Handler.Message>
    private let thread: WorkerThread

    /// What the handler is given in one turn weighs about that much: then what it sends goes out, and other connections have theirs.
    private static var turnMax: Int { 256 }

    /// Starts the thread.
    /// - Parameters:
    ///   - mailboxCapacity: what messages may weigh that wait.
    ///   - mailboxBytesMax: how many bytes messages may hold that wait.
    ///   - receiveBufferBytes: memory per connection, and what is read of it per turn at most.
    ///   - makeHandler: runs on the thread.
    public init(
        name: String, mailboxCapacity: Int, mailboxBytesMax: Int = .max, receiveBufferBytes: Int = 512, logger: Logger,
        makeHandler: @escaping @Sendable () -> Handler
    ) throws(WebSocketsError) {
        let libwebsockets = try LibwebsocketsContext(receiveBufferBytes: receiveBufferBytes)
        let mailbox = Mailbox(
            capacity: mailboxCapacity, bytesMax: mailboxBytesMax, metrics: QueueMetrics(queue: "loop"),
            weigh: Handler.weight, measure: Handler.bytes
        ) { libwebsockets.wake() }
        self.libwebsockets = libwebsockets
        self.mailbox = mailbox
        self.thread = WorkerThread(name: name) {
            logger.debug("loop started", metadata: ["loop.name": "\(name)"])
            Self.run(libwebsockets, mailbox, makeHandler())
            logger.debug("loop ended", metadata: ["loop.name": "\(name)"])
        }
    }

    /// Gives the handler a message. Returns `false` if the mailbox is full or the loop stops; the message was not taken.
    public func post(_ message: Handler.Message) -> Bool {
        self.mailbox.post(message)
    }

    /// Gives the handler a message that is taken even when the mailbox is full: an answer that a connection waits for.
    public func postAnswer(_ message: Handler.Message) {
        self.mailbox.postAnswer(message)
    }

    /// Gives the handler messages together, as answers, with one wake. Returns `false` if the loop stops; none was taken.
    public func postAnswers(_ messages: [Handler.Message]) -> Bool {
        self.mailbox.postAnswers(messages)
    }

    /// `stop` was called.
    public var isStopping: Bool { self.mailbox.isClosed }

    /// What the messages weigh that wait.
    public var mailboxWeight: Int { self.mailbox.weight }
    /// How many bytes the messages hold that wait.
    public var mailboxBytes: Int { self.mailbox.bytes }

    /// Gives the handler what was posted before, closes every connection (1001 where the socket takes it at once), ends the
    /// thread. May be called again. A loop that is not stopped runs on, whoever lets go of it.
    public func stop() async {
        self.mailbox.close()
        await self.thread.join()
    }

    private static func run(
        _ libwebsockets: LibwebsocketsContext, _ mailbox: Mailbox<Handler.Message>, _ handler: Handler
    ) {
        let context = LoopContext(libwebsockets, handler: handler) {
            // Read before draining: what was posted before the close is among what is drained.
            let isStopping = mailbox.isClosed
            let messages = mailbox.drain(upTo: isStopping ? .max : Self.turnMax)
            if mailbox.weight > 0 { libwebsockets.wake() }
            if !messages.isEmpty { handler.received(messages) }
            return isStopping
        }
        libwebsockets.owner = context
        context.attach()
        // Messages, or the wish to stop, may have come before there was an owner to see them.
        libwebsockets.wake()
        withExtendedLifetime((context, libwebsockets)) { libwebsockets.run() }
        libwebsockets.owner = nil
    }
}
