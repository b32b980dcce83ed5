import CLinux
import Glibc
import NIOConcurrencyHelpers

/// Lets tasks await a descriptor: one thread, one epoll set, one-shot registrations.
///
/// Tasks that prefer it as their executor run on its thread: what they wait for is then answered there, without another thread's
/// being woken in between. They must not block it.
///
/// One wait per descriptor at a time. A wait ends when the descriptor is ready (an error or a hang-up counts: the next call on
/// it says what is wrong), when its deadline passes, or when its task is cancelled.
public final class SocketPoller: Sendable {
    public enum Interest: Sendable { case readable, writable, either }
    public enum Outcome: Sendable, Equatable { case ready, timedOut, cancelled }

    /// The process's poller. Descriptors are few or short-lived, so one serves all.
    public static let shared = SocketPoller()

    private struct Wait {
        let id: UInt64
        let continuation: CheckedContinuation<Outcome, Never>
        let deadline: ContinuousClock.Instant?
    }

    private struct State {
        var waits: [Int32: Wait] = [:]
        /// Waits that have an id but are not registered yet; `true`: cancelled meanwhile.
        var starting: [UInt64: Bool] = [:]
        var nextID: UInt64 = 0
        var jobs: [UnownedJob] = []
    }

    private let state = NIOLockedValueBox(State())
    private let epoll: Int32
    /// Raised when a job comes from another thread.
    private let wake = WakeSignal()
    private let thread = NIOLockedValueBox<pthread_t?>(nil)

    /// How late a deadline may be noticed.
    private static let tick: Int32 = 250

    public init() {
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        precondition(epoll >= 0, "epoll_create1 failed: \(errno)")
        self.epoll = epoll
        var event = epoll_event()
        event.events = EPOLLIN.rawValue
        event.data.fd = self.wake.descriptor
        epoll_ctl(epoll, EPOLL_CTL_ADD, self.wake.descriptor, &event)
        _ = WorkerThread(name: "socket-poller") { [self] in self.serve() }
    }

    /// Waits until `descriptor` is ready. The caller keeps it open until this returns.
    public func wait(for descriptor: Int32, _ interest: Interest, timeout: Duration? = nil) async -> Outcome {
        let id = self.state.withLockedValue { state -> UInt64 in
            state.nextID += 1
            state.starting[state.nextID] = false
            return state.nextID
        }
        let deadline = timeout.map { ContinuousClock.now + $0 }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.register(Wait(id: id, continuation: continuation, deadline: deadline), descriptor, interest)
            }
        } onCancel: {
            self.cancel(id, descriptor)
        }
    }

    private func register(_ wait: Wait, _ descriptor: Int32, _ interest: Interest) {
        let isCancelled = self.state.withLockedValue { state -> Bool in
            if state.starting.removeValue(forKey: wait.id) == true { return true }
            precondition(state.waits[descriptor] == nil, "two waits on descriptor \(descriptor)")
            state.waits[descriptor] = wait
            return false
        }
        if isCancelled { return wait.continuation.resume(returning: .cancelled) }
        var event = epoll_event()
        event.events = Self.mask(interest) | EPOLLONESHOT.rawValue
        event.data.fd = descriptor
        // A descriptor stays registered, disarmed, from one wait to the next; closing it removes it.
        if epoll_ctl(self.epoll, EPOLL_CTL_MOD, descriptor, &event) != 0 {
            let code = epoll_ctl(self.epoll, EPOLL_CTL_ADD, descriptor, &event)
            // A descriptor that cannot be watched counts as ready: the call on it will say what is wrong.
            if code != 0 { self.finish(descriptor, .ready) }
        }
    }

    private static func mask(_ interest: Interest) -> UInt32 {
        switch interest {
        case .readable: EPOLLIN.rawValue | EPOLLRDHUP.rawValue
        case .writable: EPOLLOUT.rawValue
        case .either: EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue
        }
    }

    private func cancel(_ id: UInt64, _ descriptor: Int32) {
        let wait = self.state.withLockedValue { state -> Wait? in
            if state.starting[id] != nil { state.starting[id] = true }
            guard state.waits[descriptor]?.id == id else { return nil }
            return state.waits.removeValue(forKey: descriptor)
        }
        wait?.continuation.resume(returning: .cancelled)
    }

    private func finish(_ descriptor: Int32, _ outcome: Outcome) {
        let wait = self.state.withLockedValue { $0.waits.removeValue(forKey: descriptor) }
        wait?.continuation.resume(returning: outcome)
    }

    private func serve() {
        self.thread.withLockedValue { $0 = pthread_self() }
        var events = [epoll_event](repeating: epoll_event(), count: 256)
        var nextSweep = ContinuousClock.now
        while true {
            let count = epoll_wait(self.epoll, &events, 256, Self.tick)
            for index in 0..<max(0, Int(count)) {
                let descriptor = events[index].data.fd
                if descriptor == self.wake.descriptor { self.wake.clear() } else { self.finish(descriptor, .ready) }
            }
            self.runJobs()
            let now = ContinuousClock.now
            if now >= nextSweep {
                nextSweep = now + .milliseconds(Int(Self.tick))
                self.expire(now)
            }
        }
    }

    private func expire(_ now: ContinuousClock.Instant) {
        let late = self.state.withLockedValue { state -> [Wait] in
            let descriptors = state.waits.filter { $0.value.deadline.map { $0 <= now } ?? false }.map(\.key)
            return descriptors.compactMap { state.waits.removeValue(forKey: $0) }
        }
        for wait in late { wait.continuation.resume(returning: .timedOut) }
    }
}

extension SocketPoller: TaskExecutor {
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isFirst = self.state.withLockedValue { state in
            state.jobs.append(job)
            return state.jobs.count == 1
        }
        // The thread itself looks for jobs before it waits.
        let isOwn = self.thread.withLockedValue { $0.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
        if isFirst, !isOwn { self.wake.raise() }
    }

    fileprivate func runJobs() {
        while true {
            let jobs = self.state.withLockedValue { state in
                defer { state.jobs = [] }
                return state.jobs
            }
            guard !jobs.isEmpty else { return }
            for job in jobs { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
    }
}
