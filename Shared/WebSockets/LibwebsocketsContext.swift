import CLibwebsockets
import Glibc
import NIOConcurrencyHelpers

/// A `struct lws_context` with one protocol and no listener, on a libuv loop of its own.
// Everything but `wake` is used by the loop's thread alone, and by the initialiser before that thread starts; `wake` uses the
// context under the lock of `isRunning`, which is cleared before the context is destroyed.
final class LibwebsocketsContext: @unchecked Sendable {
    /// Who is told. Set by the loop's thread before it runs the loop.
    unowned(unsafe) var owner: LoopContext?

    private let isRunning = NIOLockedValueBox(false)
    private let settings: ContextSettings
    private let turnTimer = UnsafeMutablePointer<owned_timer>.allocate(capacity: 1)
    private let wheelTimer = UnsafeMutablePointer<owned_timer>.allocate(capacity: 1)

    init(receiveBufferBytes: Int) throws(WebSocketsError) {
        self.settings = ContextSettings(receiveBufferBytes: receiveBufferBytes)
        self.turnTimer.initialize(to: owned_timer())
        self.wheelTimer.initialize(to: owned_timer())
        let user = Unmanaged.passUnretained(self).toOpaque()
        self.turnTimer.pointee.owner = user
        self.wheelTimer.pointee.owner = user
        // Its log is of use to its developers only; what matters to us we learn from callbacks and results.
        lws_set_log_level(0, nil)
        SignalDispositions.preserved { self.settings.makeContext(user: user) }
        guard self.pointer != nil else { throw .contextFailed }
        self.isRunning.withLockedValue { $0 = true }
    }

    deinit {
        self.turnTimer.deallocate()
        self.wheelTimer.deallocate()
    }

    /// `nil` when it is destroyed.
    private var pointer: OpaquePointer? { self.settings.context.pointee }

    /// Makes the loop call `woken`. From any thread, at any time.
    func wake() {
        self.isRunning.withLockedValue { isRunning in
            if isRunning { lws_cancel_service(self.pointer) }
        }
    }

    /// Runs the loop until `stop`, then frees everything.
    func run() {
        let handlers = SignalDispositions.snapshot()
        while self.isRunning.withLockedValue(\.self) { lws_service(self.pointer, 0) }
        // Ending takes several calls: handles close, the loop ends, the context goes. The last one clears `pointer`.
        while let pointer = self.pointer { lws_context_destroy(pointer) }
        SignalDispositions.restoreReset(from: handlers)
    }

    /// Ends `run`, from within a callback. Closes all connections.
    func stop() {
        self.isRunning.withLockedValue { $0 = false }
        // Inside a callback this only notes the wish; libwebsockets acts on it when the callback has returned.
        lws_context_destroy(self.pointer)
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
