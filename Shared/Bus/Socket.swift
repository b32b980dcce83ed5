import CZeroMQ
import Events

/// A ZeroMQ context. The library lets any thread use it; sockets belong to one thread each.
final class Context: Sendable {
    // Safe: the pointer never changes, and libzmq's contexts are thread-safe.
    nonisolated(unsafe) let pointer: UnsafeMutableRawPointer

    /// - Parameter interrupts: whether its thread takes the processor from others at work, see `WorkerThread`.
    init(interrupts: Bool = true) {
        guard let pointer = zmq_ctx_new() else { preconditionFailure("zmq_ctx_new failed") }
        self.pointer = pointer
        if !interrupts { zmq_ctx_set(pointer, ZMQ_THREAD_SCHED_POLICY, shim_sched_batch) }
    }

    /// Makes every blocked or later call on the context's sockets fail with ETERM.
    func shutdown() { zmq_ctx_shutdown(self.pointer) }

    deinit { zmq_ctx_term(self.pointer) }
}

/// One ZeroMQ socket. Not `Sendable`: whoever made it uses it.
final class Socket {
    enum Kind {
        case pub, sub, router, dealer, rep

        var raw: Int32 {
            switch self {
            case .pub: ZMQ_PUB
            case .sub: ZMQ_SUB
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            case .rep: ZMQ_REP
            }
        }
    }

    /// A larger message is refused by the library: no command or event is near it.
    private static let messageBytesMax: Int64 = 64 << 20

    let pointer: UnsafeMutableRawPointer
    /// A socket must not outlive its context; `nil`: it ends with it.
    private let context: Context?

    /// - Parameter holdsContext: whether the context lives until the socket is gone. One that does not hold it fails with ETERM when the
    ///   context ends, which waits for the socket to be closed.
    init(_ kind: Kind, in context: Context, holdsContext: Bool = true) throws(BusError) {
        guard let pointer = zmq_socket(context.pointer, kind.raw) else {
            throw .call(name: "zmq_socket", code: zmq_errno(), message: String(cString: zmq_strerror(zmq_errno())))
        }
        self.pointer = pointer
        self.context = holdsContext ? context : nil
        try self.set(ZMQ_MAXMSGSIZE, Self.messageBytesMax)
        try self.set(ZMQ_RECONNECT_IVL, Int32(50))
        try self.set(ZMQ_RECONNECT_IVL_MAX, Int32(1000))
        // A peer that vanished without a FIN (power, cable) is noticed, and reconnected to.
        try self.set(ZMQ_HEARTBEAT_IVL, Int32(2000))
        try self.set(ZMQ_HEARTBEAT_TIMEOUT, Int32(6000))
        // A peer that does not answer at all is tried afresh, not when TCP gives up after two minutes.
        try self.set(ZMQ_CONNECT_TIMEOUT, Int32(3000))
        try self.set(ZMQ_LINGER, Int32(500))
    }

    deinit { zmq_close(self.pointer) }

    func set<Value: BitwiseCopyable>(_ option: Int32, _ value: Value) throws(BusError) {
        var value = value
        try check("zmq_setsockopt") { zmq_setsockopt(self.pointer, option, &value, MemoryLayout<Value>.size) }
    }

    func set(_ option: Int32, _ bytes: [UInt8]) throws(BusError) {
        try check("zmq_setsockopt") { zmq_setsockopt(self.pointer, option, bytes, bytes.count) }
    }

    func subscribe(to topic: [UInt8]) throws(BusError) {
        try self.set(ZMQ_SUBSCRIBE, topic)
    }

    /// Takes connections there; with keys only from peers that prove a role of the suite.
    func bind(_ endpoint: String, _ keys: BusKeys? = nil) throws(BusError) {
        if let keys {
            guard let context = self.context else { preconditionFailure("a socket that does not hold its context") }
            try Gatekeeper.start(in: context, admitting: keys.peers)
            try self.set(ZMQ_CURVE_SERVER, Int32(1))
            try self.set(ZMQ_CURVE_SECRETKEY, keys.own.secret)
            try self.set(ZMQ_ZAP_DOMAIN, Array("crosspoint".utf8))
        }
        try check("zmq_bind \(endpoint)") { zmq_bind(self.pointer, endpoint) }
    }

    /// Connects to a service; with keys only if that proves the role. A socket may connect to services of several roles.
    func connect(_ endpoint: String, _ keys: BusKeys? = nil, to role: BusRole = .suite) throws(BusError) {
        if let keys {
            // libzmq gives each connection the options that hold when it is made.
            try self.set(ZMQ_CURVE_SERVERKEY, keys.peers.key(of: role))
            try self.set(ZMQ_CURVE_PUBLICKEY, keys.own.publicKey)
            try self.set(ZMQ_CURVE_SECRETKEY, keys.own.secret)
        }
        try check("zmq_connect \(endpoint)") { zmq_connect(self.pointer, endpoint) }
    }

    /// Sends all frames as one message, without blocking. `false`: nobody to send to, or its queue is full.
    func send(_ frames: [[UInt8]]) throws(BusError) -> Bool {
        for (index, frame) in frames.enumerated() {
            let more = index < frames.count - 1 ? ZMQ_SNDMORE : 0
            do {
                try check("zmq_send") { zmq_send(self.pointer, frame, frame.count, ZMQ_DONTWAIT | more) }
            } catch .call(_, EAGAIN, _) where index == 0 {
                return false
            } catch .call(_, EHOSTUNREACH, _) {
                return false
            }
        }
        return true
    }

    /// The next message, or `nil` when none is waiting.
    func receive() throws(BusError) -> [[UInt8]]? {
        try self.receive(asking: nil)?.frames
    }

    /// The next message, and the role that its sender has proved; that is `nil` on a socket that was bound without keys.
    func receiveWithRole() throws(BusError) -> (frames: [[UInt8]], role: BusRole?)? {
        guard let message = try self.receive(asking: "User-Id") else { return nil }
        return (message.frames, message.property.flatMap(BusRole.init))
    }

    /// - Parameter property: what to look up in the message's metadata.
    private func receive(asking property: String?) throws(BusError) -> (frames: [[UInt8]], property: String?)? {
        var frames: [[UInt8]] = []
        var message = zmq_msg_t()
        while true {
            zmq_msg_init(&message)
            defer { zmq_msg_close(&message) }
            do {
                try check("zmq_msg_recv") { zmq_msg_recv(&message, self.pointer, ZMQ_DONTWAIT) }
            } catch .call(_, EAGAIN, _) {
                return nil
            }
            let bytes = UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message))
            frames.append([UInt8](bytes))
            guard zmq_msg_more(&message) == 0 else { continue }
            let value = property.flatMap { zmq_msg_gets(&message, $0) }
            return (frames, value.map { String(cString: $0) })
        }
    }
}

/// Waits on sockets, and on one plain descriptor together with them, on the thread that owns them.
struct Poll {
    private var items: [zmq_pollitem_t]

    init(_ sockets: [Socket], wake descriptor: Int32? = nil) {
        self.items = sockets.map { zmq_pollitem_t(socket: $0.pointer, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0) }
        if let descriptor {
            self.items.append(zmq_pollitem_t(socket: nil, fd: descriptor, events: Int16(ZMQ_POLLIN), revents: 0))
        }
    }

    /// Returns when something can be read, or after the timeout.
    mutating func wait(timeout: Duration) throws(BusError) {
        let milliseconds = Int(timeout / .milliseconds(1))
        let count = Int32(self.items.count)
        try check("zmq_poll") { zmq_poll(&self.items, count, milliseconds) }
    }
}
