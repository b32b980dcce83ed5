import Glibc
import Logging
import Testing
import Threads
import WebSockets

@Suite(.serialized) struct SignalTests {
    @Test func `a loop leaves the process's signal handlers as they were`() async throws {
        var mine = sigaction()
        mine.__sigaction_handler.sa_handler = { _ in }
        var before = sigaction()
        sigaction(SIGHUP, &mine, &before)
        defer { sigaction(SIGHUP, &before, nil) }

        let loop = try Loop(name: "signals", mailboxCapacity: 1, logger: Logger(label: "test")) {
            TestHandler(journal: Mailbox(capacity: 1) {}) { _, _, _ in }
        }
        #expect(self.isInstalled(mine))
        await loop.stop()
        #expect(self.isInstalled(mine))
    }

    private func isInstalled(_ action: sigaction) -> Bool {
        var now = sigaction()
        sigaction(SIGHUP, nil, &now)
        return unsafeBitCast(now.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
    }
}
