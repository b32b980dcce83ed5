import Glibc
import NIOConcurrencyHelpers
import Testing
import Threads

@Suite struct WorkerThreadTests {
    @Test func `join returns when the body has returned, to everybody who waits`() async {
        let gate = WakeSignal()
        let hasEnded = NIOLockedValueBox(false)
        let thread = WorkerThread(name: "a name that is longer than the kernel's") {
            var poll = pollfd(fd: gate.descriptor, events: Int16(POLLIN), revents: 0)
            _ = Glibc.poll(&poll, 1, 10_000)
            hasEnded.withLockedValue { $0 = true }
        }
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<5 {
                group.addTask {
                    await thread.join()
                    return hasEnded.withLockedValue { $0 }
                }
            }
            gate.raise()
            for await ended in group { #expect(ended) }
        }
        await thread.join()
    }

    @Test func `a thread that is not to interrupt others is scheduled so`() async {
        let policies = NIOLockedValueBox<[Int32]>([])
        for interrupts in [true, false] {
            let thread = WorkerThread(name: "policy", interrupts: interrupts) {
                var (policy, parameters): (Int32, sched_param) = (-1, sched_param())
                pthread_getschedparam(pthread_self(), &policy, &parameters)
                policies.withLockedValue { [policy] in $0.append(policy) }
            }
            await thread.join()
        }
        // SCHED_BATCH is 3 (sched(7)).
        #expect(policies.withLockedValue { $0 } == [SCHED_OTHER, 3])
    }

    @Test func `a thread runs though nobody holds it`() async {
        let signal = WakeSignal()
        do { _ = WorkerThread(name: "orphan") { signal.raise() } }
        #expect(await SocketPoller.shared.wait(for: signal.descriptor, .readable, timeout: .seconds(10)) == .ready)
    }

    @Test func `many threads come and go`() async {
        let count = NIOLockedValueBox(0)
        for _ in 0..<200 { await WorkerThread(name: "short") { count.withLockedValue { $0 += 1 } }.join() }
        #expect(count.withLockedValue { $0 } == 200)
    }
}

@Suite struct WakeSignalTests {
    private func isRaised(_ signal: WakeSignal) -> Bool {
        var poll = pollfd(fd: signal.descriptor, events: Int16(POLLIN), revents: 0)
        return Glibc.poll(&poll, 1, 0) == 1
    }

    @Test func `it is readable while raised, and cleared at once however often it was raised`() {
        let signal = WakeSignal()
        #expect(!self.isRaised(signal))
        for _ in 0..<10 { signal.raise() }
        #expect(self.isRaised(signal))
        signal.clear()
        #expect(!self.isRaised(signal))
        // Nothing to clear is no reason to block.
        signal.clear()
        signal.raise()
        #expect(self.isRaised(signal))
    }
}
