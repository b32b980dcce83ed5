import Glibc
import Testing
import Threads

/// Two connected sockets.
private struct Pair: Sendable {
    let near: Int32
    let far: Int32

    init() {
        var descriptors: [Int32] = [0, 0]
        precondition(
            socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &descriptors) == 0)
        (self.near, self.far) = (descriptors[0], descriptors[1])
    }

    func send() { _ = write(self.far, [1], 1) }

    func take() {
        var byte: UInt8 = 0
        _ = read(self.near, &byte, 1)
    }

    func close() {
        _ = Glibc.close(self.near)
        _ = Glibc.close(self.far)
    }
}

@Suite struct SocketPollerTests {
    private let poller = SocketPoller.shared

    @Test func `a descriptor that is ready ends the wait at once, and again`() async {
        let pair = Pair()
        defer { pair.close() }
        for _ in 0..<3 {
            pair.send()
            #expect(await self.poller.wait(for: pair.near, .readable, timeout: .seconds(10)) == .ready)
            pair.take()
        }
        #expect(await self.poller.wait(for: pair.near, .writable, timeout: .seconds(10)) == .ready)
        #expect(await self.poller.wait(for: pair.near, .either, timeout: .seconds(10)) == .ready)
    }

    @Test func `tasks that prefer it run on its thread, before and after what they wait for`() async {
        let pair = Pair()
        defer { pair.close() }
        let threads = await withTaskExecutorPreference(self.poller) {
            var threads = [Self.currentThread()]
            pair.send()
            #expect(await self.poller.wait(for: pair.near, .readable, timeout: .seconds(10)) == .ready)
            threads.append(Self.currentThread())
            await Task.yield()
            threads.append(Self.currentThread())
            return threads
        }
        #expect(Set(threads).count == 1)
        #expect(threads[0] != Self.currentThread())
    }

    @Test func `many tasks that prefer it all come to their end`() async {
        let sum = await withTaskExecutorPreference(self.poller) {
            await withTaskGroup(of: Int.self) { group in
                for number in 1...1000 {
                    group.addTask {
                        await Task.yield()
                        return number
                    }
                }
                return await group.reduce(0, +)
            }
        }
        #expect(sum == 500_500)
    }

    private static func currentThread() -> UInt { UInt(pthread_self()) }

    @Test func `a wait ends when the descriptor becomes ready`() async {
        let pair = Pair()
        defer { pair.close() }
        async let outcome = self.poller.wait(for: pair.near, .readable, timeout: .seconds(10))
        await Task.yield()
        pair.send()
        #expect(await outcome == .ready)
    }

    @Test func `a peer that hangs up ends the wait`() async {
        let pair = Pair()
        defer { _ = Glibc.close(pair.near) }
        async let outcome = self.poller.wait(for: pair.near, .readable, timeout: .seconds(10))
        _ = Glibc.close(pair.far)
        #expect(await outcome == .ready)
    }

    @Test func `a wait ends at its deadline, not before`() async {
        let pair = Pair()
        defer { pair.close() }
        let start = ContinuousClock.now
        #expect(await self.poller.wait(for: pair.near, .readable, timeout: .milliseconds(100)) == .timedOut)
        #expect(ContinuousClock.now - start >= .milliseconds(100))
        // What comes later does not disturb the next wait.
        pair.send()
        #expect(await self.poller.wait(for: pair.near, .readable, timeout: .seconds(10)) == .ready)
    }

    @Test func `a deadline that has passed already ends the wait`() async {
        let pair = Pair()
        defer { pair.close() }
        #expect(await self.poller.wait(for: pair.near, .readable, timeout: .seconds(-1)) == .timedOut)
    }

    @Test func `a cancelled task does not begin to wait`() async {
        let pair = Pair()
        defer { pair.close() }
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return await self.poller.wait(for: pair.near, .readable)
        }
        task.cancel()
        #expect(await task.value == .cancelled)
    }

    @Test func `cancellation ends a wait, and the descriptor can be waited for again`() async {
        let pair = Pair()
        defer { pair.close() }
        for round in 0..<50 {
            let task = Task { await self.poller.wait(for: pair.near, .readable) }
            // Before it begins to wait, in between, or after.
            for _ in 0..<round { await Task.yield() }
            task.cancel()
            #expect(await task.value == .cancelled)
        }
        pair.send()
        #expect(await self.poller.wait(for: pair.near, .readable, timeout: .seconds(10)) == .ready)
    }

    @Test func `a descriptor that is none counts as ready`() async {
        #expect(await self.poller.wait(for: -1, .readable) == .ready)
    }

    @Test func `a number that is used again stands for the new descriptor`() async {
        for _ in 0..<100 {
            let pair = Pair()
            async let outcome = self.poller.wait(for: pair.near, .readable, timeout: .seconds(10))
            pair.send()
            #expect(await outcome == .ready)
            // The byte is not read: the old descriptor stays ready until it is closed.
            pair.close()
        }
    }

    @Test func `many wait at once`() async {
        let pairs = (0..<300).map { _ in Pair() }
        defer { for pair in pairs { pair.close() } }
        await withTaskGroup(of: (Int, SocketPoller.Outcome).self) { group in
            for (index, pair) in pairs.enumerated() {
                group.addTask {
                    (
                        index,
                        await self.poller.wait(for: pair.near, .readable, timeout: .seconds(index % 3 == 0 ? 0 : 20))
                    )
                }
            }
            for (index, pair) in pairs.enumerated() where index % 3 != 0 { pair.send() }
            for await (index, outcome) in group { #expect(outcome == (index % 3 == 0 ? .timedOut : .ready)) }
        }
    }
}
