import CLinux
import Glibc
import NIOConcurrencyHelpers

/// A thread of our own, for C libraries that want one owner or that block. Its body runs once; `join` awaits its end.
public final class WorkerThread: Sendable {
    private enum State {
        case running([CheckedContinuation<Void, Never>])
        case ended
    }

    private let state = NIOLockedValueBox(State.running([]))

    /// Starts the thread.
    /// - Parameters:
    ///   - name: shows in debuggers and `top -H`; the kernel keeps its first 15 bytes.
    ///   - interrupts: whether, woken, it takes the processor from a thread that is at work (sched(7): SCHED_OTHER, else SCHED_BATCH).
    ///     One that collects work for others better leaves them to finish theirs. Where a processor is idle it makes no difference.
    public init(name: String, interrupts: Bool = true, body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(
            ThreadStart(name: name, interrupts: interrupts, body: body, ended: self.markEnded))
        var handle = pthread_t()
        let code = pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<ThreadStart>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, start.toOpaque())
        precondition(code == 0, "pthread_create failed with \(code)")
        pthread_detach(handle)
    }

    /// Returns when the body has returned.
    public func join() async {
        await withCheckedContinuation { continuation in
            let ended = self.state.withLockedValue { state in
                guard case .running(let waiting) = state else { return true }
                state = .running(waiting + [continuation])
                return false
            }
            if ended { continuation.resume() }
        }
    }

    private func markEnded() {
        let waiting: [CheckedContinuation<Void, Never>] = self.state.withLockedValue { state in
            guard case .running(let waiting) = state else { return [] }
            state = .ended
            return waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// What the new thread needs, carried through C as one retained pointer.
private final class ThreadStart: Sendable {
    private let name: String
    private let interrupts: Bool
    private let body: @Sendable () -> Void
    private let ended: @Sendable () -> Void

    init(
        name: String, interrupts: Bool, body: @escaping @Sendable () -> Void, ended: @escaping @Sendable () -> Void
    ) {
        self.name = name
        self.interrupts = interrupts
        self.body = body
        self.ended = ended
    }

    func run() {
        pthread_setname_np(pthread_self(), String(self.name.prefix(15)))
        if !self.interrupts {
            var parameters = sched_param()
            // Where it is not allowed, the thread interrupts.
            pthread_setschedparam(pthread_self(), shim_sched_batch, &parameters)
        }
        self.body()
        self.ended()
    }
}
