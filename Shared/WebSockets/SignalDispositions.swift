import Glibc
import NIOConcurrencyHelpers

/// libwebsockets' libuv loops take over the process's handlers of these signals, and the last to go leaves them at the default.
/// Signals belong to the process, so we put back what was there.
enum SignalDispositions {
    private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGSEGV, SIGFPE]

    /// One loop at a time, so that none takes another's handlers for the process's.
    private static let turn = NIOLockedValueBox<Void>(())

    /// Runs `body`, which may install handlers, and undoes that.
    static func preserved<Result>(_ body: () throws -> Result) rethrows -> Result {
        try self.turn.withLockedValue { _ in
            let before = self.current()
            defer { for (signal, action) in before { self.set(action, for: signal) } }
            return try body()
        }
    }

    static func snapshot() -> [Int32: sigaction] {
        self.turn.withLockedValue { _ in self.current() }
    }

    /// Puts back the handlers of `snapshot` that were reset to the default since.
    static func restoreReset(from snapshot: [Int32: sigaction]) {
        self.turn.withLockedValue { _ in
            for (signal, action) in self.current() where self.isDefault(action) {
                if let before = snapshot[signal] { self.set(before, for: signal) }
            }
        }
    }

    private static func current() -> [Int32: sigaction] {
        var actions: [Int32: sigaction] = [:]
        for signal in self.signals {
            var action = sigaction()
            sigaction(signal, nil, &action)
            actions[signal] = action
        }
        return actions
    }

    private static func set(_ action: sigaction, for signal: Int32) {
        var action = action
        sigaction(signal, &action, nil)
    }

    private static func isDefault(_ action: sigaction) -> Bool {
        action.__sigaction_handler.sa_handler == nil
    }
}
