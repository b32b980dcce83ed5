import Threads

/// A thread that serves the connections that this process opens to WebSocket servers, a few dozen at most.
public final class ClientLoop: Sendable {
    private let libwebsockets: ClientContext
    private let mailbox: Mailbox<ClientOrder>
    private let thread: WorkerThread

    /// Orders that wait; each is a message to send or a connection to open or close.
    private static let ordersMax = 100_000

    /// Starts the thread.
    /// - Parameters:
    ///   - certificates: a file of certificates in PEM that are trusted besides the system's.
    ///   - messageBytesMax: a server that sends a longer message is dropped.
    public init(name: String, certificates: String? = nil, messageBytesMax: Int) throws(WebSocketsError) {
        let libwebsockets = try ClientContext(certificates: certificates, messageBytesMax: messageBytesMax)
        let mailbox = Mailbox<ClientOrder>(capacity: Self.ordersMax) { libwebsockets.wake() }
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
        let connection = ClientConnection { order in
            // One that the loop does not take any more is for a connection that has ended.
            mailbox.post(order)
        }
        guard mailbox.post(.open(connection, address, ip: ip, subprotocol: subprotocol)) else {
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

    /// Drops every connection and ends the thread.
    public func stop() async {
        self.mailbox.close()
        await self.thread.join()
    }
}
