import Threads

/// A thread that serves the connections that this process opens to WebSocket servers, a few dozen at most.
public final class ClientLoop: Sendable {
    private let libwebsockets: ClientContext
    private let mailbox: Mailbox<ClientOrder>
    private let thread: WorkerThread
    /// Of the messages that wait to be read, of all connections.
    private let messages = QueueMetrics(queue: "websocket-messages")

    /// Orders that wait for the thread, and what their messages hold. Only messages are refused beyond that.
    private static let ordersMax = 10_000
    private static let ordersBytesMax = 16 << 20

    /// Starts the thread.
    /// - Parameters:
    ///   - certificates: a file of certificates in PEM that are trusted besides the system's.
    ///   - messageBytesMax: a server that sends a longer message is dropped.
    ///   - unsentBytesMax: a server for which more waits is dropped.
    public init(
        name: String, certificates: String? = nil, messageBytesMax: Int, unsentBytesMax: Int = 16 << 20
    ) throws(WebSocketsError) {
        let libwebsockets = try ClientContext(
            certificates: certificates, messageBytesMax: messageBytesMax, unsentBytesMax: unsentBytesMax)
        let mailbox = Mailbox<ClientOrder>(
            capacity: Self.ordersMax, bytesMax: Self.ordersBytesMax, metrics: QueueMetrics(queue: "websocket-orders"),
            measure: \.bytes
        ) { libwebsockets.wake() }
        self.libwebsockets = libwebsockets
        self.mailbox = mailbox
        self.thread = WorkerThread(name: name) {
            libwebsockets.run { (orders: mailbox.drain(), isStopping: mailbox.isClosed) }
        }
    }

    /// Opens a connection. Cancelled, it gives up; there is no other limit to how long it takes.
    public func open(
        _ address: ServerAddress, subprotocol: String
    ) async throws(WebSocketsError) -> ClientConnection {
        var failure = WebSocketsError.notConnected("the host has no address")
        for ip in try await HostLookup.addresses(of: address.host) {
            do throws(WebSocketsError) {
                return try await self.open(address, ip, subprotocol)
            } catch {
                failure = error
                if Task.isCancelled { break }
            }
        }
        throw failure
    }

    private func open(
        _ address: ServerAddress, _ ip: String, _ subprotocol: String
    ) async throws(WebSocketsError) -> ClientConnection {
        let mailbox = self.mailbox
        let connection = ClientConnection(metrics: self.messages, order: Self.order(in: mailbox))
        guard mailbox.postAnswer(.open(connection, address, ip: ip, subprotocol: subprotocol)) else {
            throw .notConnected("the loop has stopped")
        }
        let result = await withTaskCancellationHandler {
            await connection.opened.value()
        } onCancel: {
            connection.drop()
        }
        try result.get()
        return connection
    }

    /// Returns what puts a connection's orders into the mailbox. A full one refuses messages, but not the end of a connection.
    static func order(in mailbox: Mailbox<ClientOrder>) -> @Sendable (ClientOrder) -> Bool {
        { order in if case .send = order { mailbox.post(order) } else { mailbox.postAnswer(order) } }
    }

    /// Drops every connection and ends the thread.
    public func stop() async {
        self.mailbox.close()
        await self.thread.join()
    }
}
