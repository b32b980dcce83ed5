import CLibwebsockets

/// A `struct lws_context` with one protocol and no listener, on a libuv loop of its own.
///
/// It is never destroyed: in libwebsockets 4.1 that closes a descriptor twice (lws_destroy_event_pipe, then the libuv close
/// callback), the second time possibly another thread's. A loop lives as long as the process, so what stays behind is small.
// Everything but `wake` is used by the loop's thread alone, and by the initialiser before that thread starts; `wake` makes the
// one call that libwebsockets allows elsewhere, on a pointer that never changes.
final class LibwebsocketsContext: @unchecked Sendable {
    /// Who is told. Set by the loop's thread while it runs the loop.
    unowned(unsafe) var owner: LoopContext?

    private let pointer: OpaquePointer
    private let eventLoop: UnsafeMutablePointer<uv_loop_t>
    private let turnTimer = UnsafeMutablePointer<owned_timer>.allocate(capacity: 1)
    private let wheelTimer = UnsafeMutablePointer<owned_timer>.allocate(capacity: 1)

    init(receiveBufferBytes: Int) throws(WebSocketsError) {
        // Its log is of use to its developers only; what matters to us we learn from callbacks and results.
        lws_set_log_level(0, nil)
        self.eventLoop = .allocate(capacity: 1)
        guard uv_loop_init(self.eventLoop) == 0 else { throw .contextFailed }
        let user = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 1)
        user.initialize(to: nil)
        let settings = ContextSettings(receiveBufferBytes: receiveBufferBytes)
        guard let pointer = settings.makeContext(eventLoop: self.eventLoop, user: user) else { throw .contextFailed }
        self.pointer = pointer
        // The object outlives the loop's last callback: `run` holds it.
        user.pointee = Unmanaged.passUnretained(self).toOpaque()
        self.turnTimer.initialize(to: owned_timer(timer: lws_sorted_usec_list_t(), owner: user.pointee))
        self.wheelTimer.initialize(to: owned_timer(timer: lws_sorted_usec_list_t(), owner: user.pointee))
    }

    /// The one that a callback is for.
    static func of(_ socket: OpaquePointer) -> LibwebsocketsContext? {
        lws_context_user(lws_get_context(socket))?.assumingMemoryBound(to: UnsafeMutableRawPointer?.self).pointee
            .map { Unmanaged<LibwebsocketsContext>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Makes the loop call `woken`. From any thread, at any time.
    func wake() {
        lws_cancel_service(self.pointer)
    }

    /// Runs the loop until `stop`.
    func run() {
        withExtendedLifetime(self) { _ = lws_service(self.pointer, 0) }
    }

    /// Ends `run` when this turn is over. From within a callback.
    func stop() {
        uv_stop(self.eventLoop)
    }

    /// Gives a connected socket and the first bytes read from it to libwebsockets, which closes it if it fails.
    func adopt(_ descriptor: Int32, _ bytes: [UInt8]) -> LibwebsocketsSocket? {
        bytes.withUnsafeBytes { bytes in
            let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
            return lws_adopt_socket_readbuf(self.pointer, descriptor, start, bytes.count)
                .map(LibwebsocketsSocket.init)
        }
    }

    /// Has `turnEnded` called once everything that is ready now was told.
    func scheduleTurnEnd() {
        lws_sul_schedule(self.pointer, 0, Self.sul(self.turnTimer), turnTimerFired, 1)
    }

    /// Has `wheelDue` called at `microseconds` on the clock of `now`; replaces an earlier wish.
    func scheduleWheel(at microseconds: UInt64) {
        let delay = Int64(microseconds) - lws_now_usecs()
        lws_sul_schedule(self.pointer, 0, Self.sul(self.wheelTimer), wheelTimerFired, max(1, delay))
    }

    func cancelWheel() {
        lws_sul_cancel(Self.sul(self.wheelTimer))
    }

    /// A monotonic clock, in microseconds.
    static var now: UInt64 { UInt64(lws_now_usecs()) }

    private static func sul(_ timer: UnsafeMutablePointer<owned_timer>) -> UnsafeMutablePointer<lws_sorted_usec_list_t>
    {
        // The timer is the structure's first member.
        UnsafeMutableRawPointer(timer).assumingMemoryBound(to: lws_sorted_usec_list_t.self)
    }
}
