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

    /// Whole text messages, in order; it ends with the connection. For one reader at a time.
    public let messages: AsyncStream<[UInt8]>

    let id: ConnectionID
    let opened = Pending<Result<Void, WebSocketsError>>()
    private let incoming: AsyncStream<[UInt8]>.Continuation
    private let order: @Sendable (ClientOrder) -> Void
    private let state = NIOLockedValueBox(State())

    /// Messages that wait to be read; a server whose messages nobody reads is dropped when there are more.
    private static let waitingMax = 16_384

    init(order: @escaping @Sendable (ClientOrder) -> Void) {
        self.id = .next()
        self.order = order
        (self.messages, self.incoming) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.waitingMax))
    }

    /// `nil` while it is open. Set before `messages` ends.
    public var ending: Ending? { self.state.withLockedValue { $0.ending } }

    /// Queues a text message. It is lost if the connection ends before.
    public func send(text: [UInt8]) { self.order(.send(self.id, text)) }

    /// Sends what is queued, then a CLOSE frame. `messages` ends soon.
    public func close(code: UInt16 = 1000) { self.order(.close(self.id, code)) }

    /// Ends the TCP connection at once, for a server that does not answer.
    public func drop() { self.order(.drop(self.id)) }

    // MARK: on the loop's thread

    /// `false`: nobody reads them.
    func received(_ message: [UInt8]) -> Bool {
        if case .enqueued = self.incoming.yield(message) { true } else { false }
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
}
