import CZeroMQ

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
        case pub, sub, router, dealer

        var raw: Int32 {
            switch self {
            case .pub: ZMQ_PUB
            case .sub: ZMQ_SUB
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            }
        }
    }

    /// A larger message is refused by the library: no command or event is near it.
    private static let messageBytesMax: Int64 = 64 << 20

    let pointer: UnsafeMutableRawPointer
    /// A socket must not outlive its context.
    private let context: Context

    init(_ kind: Kind, in context: Context) throws(BusError) {
        guard let pointer = zmq_socket(context.pointer, kind.raw) else {
            throw .call(name: "zmq_socket", code: zmq_errno(), message: String(cString: zmq_strerror(zmq_errno())))
        }
        self.pointer = pointer
        self.context = context
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

    func subscribe(to topic: [UInt8]) throws(BusError) {
        try check("zmq_setsockopt") { zmq_setsockopt(self.pointer, ZMQ_SUBSCRIBE, topic, topic.count) }
    }

    func bind(_ endpoint: String) throws(BusError) {
        try check("zmq_bind \(endpoint)") { zmq_bind(self.pointer, endpoint) }
    }

    func connect(_ endpoint: String) throws(BusError) {
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
            if zmq_msg_more(&message) == 0 { return frames }
        }
    }
}

/// Waits on sockets and one plain descriptor together, on the thread that owns them.
struct Poll {
    private var items: [zmq_pollitem_t]

    init(_ sockets: [Socket], wake descriptor: Int32) {
        self.items = sockets.map { zmq_pollitem_t(socket: $0.pointer, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0) }
        self.items.append(zmq_pollitem_t(socket: nil, fd: descriptor, events: Int16(ZMQ_POLLIN), revents: 0))
    }

    /// Returns when something can be read, or after the timeout.
    mutating func wait(timeout: Duration) throws(BusError) {
        let milliseconds = Int(timeout / .milliseconds(1))
        let count = Int32(self.items.count)
        try check("zmq_poll") { zmq_poll(&self.items, count, milliseconds) }
    }
}
