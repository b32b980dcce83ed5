import NIOConcurrencyHelpers
import Threads

/// A WebSocket connection that this process opened. Its loop's thread owns the socket; everything here may be called anywhere.
public final class ClientConnection: Sendable {
    /// How a connection ended.
    public struct Ending: Sendable, Hashable {
        /// The server's close code; `nil`: it sent no CLOSE frame.
        public var code: UInt16?
        public var reason: String
    }

    private struct State {
        var ending: Ending?
    }

    /// The messages that wait to be read.
    private struct Waiting {
        var count = 0
        var bytes = 0
    }

    /// Whole text messages, in order; it ends with the connection. For one reader at a time.
    public let messages: AsyncMapSequence<AsyncStream<[UInt8]>, [UInt8]>

    let id: ConnectionID
    let opened = Pending<Result<Void, WebSocketsError>>()
    private let incoming: AsyncStream<[UInt8]>.Continuation
    private let order: @Sendable (ClientOrder) -> Bool
    private let state = NIOLockedValueBox(State())
    private let waiting: NIOLockedValueBox<Waiting>
    private let metrics: QueueMetrics

    /// Messages that wait to be read, and what they hold; a server whose messages nobody reads is dropped when there are more.
    private static let waitingMax = 16_384
    private let waitingBytesMax: Int

    /// - Parameters:
    ///   - metrics: where the messages are counted that wait to be read.
    ///   - waitingBytesMax: what they may hold.
    ///   - order: asks something of the loop; returns `false` if it does not take that.
    init(metrics: QueueMetrics, waitingBytesMax: Int = 64 << 20, order: @escaping @Sendable (ClientOrder) -> Bool) {
        self.id = .next()
        self.metrics = metrics
        self.waitingBytesMax = waitingBytesMax
        self.order = order
        let waiting = NIOLockedValueBox(Waiting())
        let (stream, incoming) = AsyncStream.makeStream(
            of: [UInt8].self, bufferingPolicy: .bufferingOldest(Self.waitingMax))
        self.waiting = waiting
        self.incoming = incoming
        self.messages = stream.map { [metrics] message in
            waiting.withLockedValue { waiting in
                waiting.count -= 1
                waiting.bytes -= message.count
            }
            metrics.remove(bytes: message.count)
            return message
        }
    }

    deinit {
        let unread = self.waiting.withLockedValue { $0 }
        self.metrics.remove(items: unread.count, bytes: unread.bytes)
    }

    /// `nil` while it is open. Set before `messages` ends.
    public var ending: Ending? { self.state.withLockedValue { $0.ending } }

    /// Queues a text message, which is lost if the connection ends before. Returns `false` if it was not taken: too much waits to be
    /// sent, or the loop has stopped.
    public func send(text: [UInt8]) -> Bool { self.order(.send(self.id, text)) }

    /// Sends what is queued, then a CLOSE frame. `messages` ends soon. A full queue does not prevent it.
    public func close(code: UInt16 = 1000) { self.end(.close(self.id, code)) }

    /// Ends the TCP connection at once, for a server that does not answer. A full queue does not prevent it.
    public func drop() { self.end(.drop(self.id)) }

    private func end(_ order: ClientOrder) {
        // What a loop does not take that has stopped is for a connection that has ended.
        _ = self.order(order)
    }

    // MARK: on the loop's thread

    /// Returns `false` if nobody reads them.
    func received(_ message: [UInt8]) -> Bool {
        let hasRoom = self.waiting.withLockedValue { waiting in
            waiting.count += 1
            waiting.bytes += message.count
            return waiting.count == 1 || waiting.bytes <= self.waitingBytesMax
        }
        self.metrics.add(bytes: message.count)
        if hasRoom, case .enqueued = self.incoming.yield(message) { return true }
        self.waiting.withLockedValue { waiting in
            waiting.count -= 1
            waiting.bytes -= message.count
        }
        self.metrics.remove(bytes: message.count)
        self.metrics.refuse()
        return false
    }

    func ended(_ ending: Ending) {
        self.state.withLockedValue { $0.ending = $0.ending ?? ending }
        self.incoming.finish()
        self.opened.give(.failure(.notConnected(ending.reason)))
    }
}

/// What the loop's thread is asked to do.
enum ClientOrder: Sendable {
    case open(ClientConnection, ServerAddress, ip: String, subprotocol: String)
    case send(ConnectionID, [UInt8])
    case close(ConnectionID, UInt16)
    case drop(ConnectionID)

    /// What a message holds.
    var bytes: Int { if case .send(_, let message) = self { message.count } else { 0 } }
}
