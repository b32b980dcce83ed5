import CLibwebsockets
import Glibc
import Threads

/// A `struct lws_context` for connections that we open, with libwebsockets' own poll loop: there are few. It lives as long as the process.
// Everything but `wake` is used by the loop's thread alone, and by the initialiser before that thread starts; `wake` makes the
// one call that libwebsockets allows elsewhere, on a pointer that never changes.
final class ClientContext: @unchecked Sendable {
    private struct Client {
        let connection: ClientConnection
        var socket: OpaquePointer?
        var queue: [[UInt8]] = []
        var queuedBytes = 0
        var message: [UInt8] = []
        var isOpen = false
        /// The CLOSE frame to send once the queue is empty.
        var closeCode: UInt16?
        var mustDrop = false
        var ending: ClientConnection.Ending?

        mutating func append(_ bytes: UnsafeRawBufferPointer, upTo max: Int) -> Bool {
            guard self.message.count + bytes.count <= max else { return false }
            self.message.append(contentsOf: bytes)
            return true
        }

        mutating func takeMessage() -> [UInt8] {
            defer { self.message = [] }
            return self.message
        }
    }

    private let pointer: OpaquePointer
    private let protocols = UnsafeMutablePointer<lws_protocols>.allocate(capacity: 2)
    private let messageBytesMax: Int
    /// What may wait for one server.
    private let unsentBytesMax: Int
    private var clients: [UInt64: Client] = [:]
    /// Of the messages that wait for their server.
    private let metrics = QueueMetrics(queue: "websocket-unsent")

    private static let name: StaticString = "crosspoint-client"
    private static let receiveBytes = 65_536
    private static let closeSeconds: Int32 = 2
    private static let stopTurnsMax = 100

    init(certificates: String?, messageBytesMax: Int, unsentBytesMax: Int) throws(WebSocketsError) {
        lws_set_log_level(0, nil)
        var only = lws_protocols()
        only.name = UnsafeRawPointer(Self.name.utf8Start).assumingMemoryBound(to: CChar.self)
        only.callback = clientCallback
        only.rx_buffer_size = Self.receiveBytes
        self.protocols.initialize(to: only)
        (self.protocols + 1).initialize(to: lws_protocols())
        self.messageBytesMax = messageBytesMax
        self.unsentBytesMax = unsentBytesMax
        var info = lws_context_creation_info()
        info.port = CONTEXT_PORT_NO_LISTEN
        info.protocols = UnsafePointer(self.protocols)
        info.options = UInt64(LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT) | UInt64(LWS_SERVER_OPTION_VALIDATE_UTF8)
        info.gid = -1
        info.uid = -1
        // A process has one or two such contexts; by default each makes room for every descriptor that the process may open.
        info.fd_limit_per_thread = 256
        // libwebsockets copies the path while it makes the context.
        let path = certificates.flatMap { strdup($0) }
        defer { free(path) }
        info.client_ssl_ca_filepath = UnsafePointer(path)
        let user = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 1)
        user.initialize(to: nil)
        info.user = UnsafeMutableRawPointer(user)
        guard let pointer = lws_create_context(&info) else { throw .contextFailed }
        self.pointer = pointer
        // The object outlives the loop's last callback: `run` holds it.
        user.pointee = Unmanaged.passUnretained(self).toOpaque()
    }

    /// The one that a callback is for.
    static func of(_ socket: OpaquePointer) -> ClientContext? {
        lws_context_user(lws_get_context(socket))?.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee
            .map { Unmanaged<ClientContext>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Makes the loop look at its orders. From any thread, until `run` has returned.
    func wake() { lws_cancel_service(self.pointer) }

    /// Serves until it is told to stop.
    func run(_ orders: () -> (orders: [ClientOrder], isStopping: Bool)) {
        while true {
            let (orders, isStopping) = orders()
            for order in orders { self.carryOut(order) }
            if isStopping { break }
            if lws_service(self.pointer, 0) < 0 { break }
        }
        for id in self.clients.keys { self.drop(id, "the loop has stopped") }
        // Each turn closes what can be closed.
        for _ in 0..<Self.stopTurnsMax where !self.clients.isEmpty {
            self.wake()
            lws_service(self.pointer, 0)
        }
        for client in self.clients.values {
            client.connection.ended(client.ending ?? .init(code: nil, reason: "the loop has stopped"))
        }
        self.clients = [:]
        // One that came while the loop stopped is not waited for.
        for case .open(let connection, _, _, _) in orders().orders {
            connection.ended(.init(code: nil, reason: "the loop has stopped"))
        }
    }

    private func carryOut(_ order: ClientOrder) {
        switch order {
        case .open(let connection, let address, let ip, let subprotocol):
            self.open(connection, address, ip, subprotocol)
        case .send(let id, let message):
            guard let client = self.clients[id.raw], client.closeCode == nil, !client.mustDrop else { return }
            guard client.queue.isEmpty || client.queuedBytes + message.count <= self.unsentBytesMax else {
                self.metrics.refuse()
                return self.drop(id.raw, "the server reads too slowly")
            }
            self.clients[id.raw]?.queue.append(message)
            self.clients[id.raw]?.queuedBytes += message.count
            self.metrics.add(bytes: message.count)
            self.requestWritable(client)
        case .close(let id, let code):
            guard let client = self.clients[id.raw] else { return }
            self.clients[id.raw]?.closeCode = code
            guard client.isOpen, let socket = client.socket else { return self.drop(id.raw) }
            lws_callback_on_writable(socket)
            // A server that reads nothing would keep it open.
            lws_set_timeout(socket, PENDING_TIMEOUT_USER_OK, Self.closeSeconds)
        case .drop(let id): self.drop(id.raw)
        }
    }

    private func open(_ connection: ClientConnection, _ address: ServerAddress, _ ip: String, _ subprotocol: String) {
        let id = connection.id.raw
        self.clients[id] = Client(connection: connection)
        // libwebsockets copies the texts.
        let texts = [ip, address.path, address.hostHeader, subprotocol].map { (text: String) in strdup(text) }
        defer { texts.forEach { free($0) } }
        var info = lws_client_connect_info()
        info.context = self.pointer
        info.address = UnsafePointer(texts[0])
        info.port = Int32(address.port)
        info.path = UnsafePointer(texts[1])
        info.host = UnsafePointer(texts[2])
        info.protocol = UnsafePointer(texts[3])
        info.local_protocol_name = UnsafeRawPointer(Self.name.utf8Start).assumingMemoryBound(to: CChar.self)
        info.ietf_version_or_minus_one = -1
        info.ssl_connection = address.isSecure ? Int32(bitPattern: LCCSCF_USE_SSL.rawValue) : 0
        // Not a pointer to anything, but which connection it is.
        info.opaque_user_data = UnsafeMutableRawPointer(bitPattern: UInt(id))
        let socket = lws_client_connect_via_info(&info)
        guard socket != nil else {
            // What went wrong may have been told by the callback already.
            if self.clients[id] != nil { self.ended(id, "no connection could be made") }
            return
        }
        self.clients[id]?.socket = socket
    }

    private func drop(_ id: UInt64, _ reason: String = "given up") {
        guard let client = self.clients[id] else { return }
        self.clients[id]?.mustDrop = true
        self.clients[id]?.ending = client.ending ?? .init(code: nil, reason: reason)
        guard let socket = client.socket else { return }
        lws_set_timeout(socket, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC)
    }

    private func requestWritable(_ client: Client) {
        guard client.isOpen, let socket = client.socket else { return }
        lws_callback_on_writable(socket)
    }
}

// What libwebsockets calls, on the loop's thread.
extension ClientContext {
    func established(_ id: UInt64, _ socket: OpaquePointer) -> Bool {
        guard let client = self.clients[id], !client.mustDrop else { return false }
        self.clients[id]?.isOpen = true
        self.clients[id]?.socket = socket
        client.connection.opened.give(.success(()))
        if !client.queue.isEmpty { lws_callback_on_writable(socket) }
        return true
    }

    /// `false`: the connection is to end.
    func received(_ id: UInt64, _ fragment: Fragment) -> Bool {
        guard let connection = self.clients[id]?.connection else { return false }
        // In place, so that it is not copied for each fragment.
        guard self.clients[id]?.append(fragment.bytes, upTo: self.messageBytesMax) == true else {
            self.clients[id]?.ending = .init(code: nil, reason: "a message was too long")
            return false
        }
        guard fragment.isLast else { return true }
        let message = self.clients[id]?.takeMessage() ?? []
        guard !fragment.isBinary else {
            self.clients[id]?.ending = .init(code: nil, reason: "a message was binary")
            return false
        }
        guard connection.received(message) else {
            self.clients[id]?.ending = .init(code: nil, reason: "messages came faster than they were read")
            return false
        }
        return true
    }

    /// Sends one message. `false`: the connection is to end.
    func writable(_ id: UInt64, _ socket: OpaquePointer) -> Bool {
        guard var client = self.clients[id], !client.mustDrop else { return false }
        guard !client.queue.isEmpty else {
            guard let code = client.closeCode else { return true }
            lws_close_reason(socket, lws_close_status(rawValue: UInt32(code)), nil, 0)
            return false
        }
        let message = client.queue.removeFirst()
        self.clients[id]?.queue.removeFirst()
        self.clients[id]?.queuedBytes -= message.count
        self.metrics.remove(bytes: message.count)
        var frame = [UInt8](repeating: 0, count: LibwebsocketsSocket.bytesInFront)
        frame += message
        let written = frame.withUnsafeMutableBytes { bytes -> Int32 in
            let start = bytes.baseAddress?.advanced(by: LibwebsocketsSocket.bytesInFront)
            return lws_write(socket, start?.assumingMemoryBound(to: UInt8.self), message.count, LWS_WRITE_TEXT)
        }
        guard written >= 0 else { return false }
        if !client.queue.isEmpty || client.closeCode != nil { lws_callback_on_writable(socket) }
        return true
    }

    func peerCloses(_ id: UInt64, _ bytes: UnsafeRawBufferPointer) {
        let code = bytes.count >= 2 ? UInt16(bytes[0]) << 8 | UInt16(bytes[1]) : nil
        let reason = String(decoding: bytes.dropFirst(2), as: UTF8.self)
        self.clients[id]?.ending = .init(code: code, reason: reason)
    }

    func ended(_ id: UInt64, _ reason: String) {
        guard let client = self.clients.removeValue(forKey: id) else { return }
        self.metrics.remove(items: client.queue.count, bytes: client.queuedBytes)
        client.connection.ended(client.ending ?? .init(code: nil, reason: reason))
    }
}
