import NIOConcurrencyHelpers
import ServiceLifecycle
import Threads

/// A service's work on a thread of its own.
enum ServiceThread {
    /// Runs `body` until the process shuts down or the task is cancelled. When it fails before that, so does the service.
    ///
    /// - Parameters:
    ///   - interrupts: see `WorkerThread`.
    ///   - wake: raised once when it is time to stop.
    ///   - body: given the question whether it should stop.
    static func run(
        name: String, interrupts: Bool = true, wake: WakeSignal,
        _ body: @escaping @Sendable (_ isStopping: () -> Bool) throws -> Void
    ) async throws {
        let stop = NIOLockedValueBox(false)
        let failure = NIOLockedValueBox<(any Error)?>(nil)
        let thread = WorkerThread(name: name, interrupts: interrupts) {
            do {
                try body { stop.withLockedValue { $0 } }
            } catch {
                failure.withLockedValue { $0 = error }
            }
        }
        await withTaskGroup(of: Void.self) { group in
            // `try?`: it throws when it is cancelled, and that is a reason to stop too.
            group.addTask { try? await gracefulShutdown() }
            group.addTask { await thread.join() }
            await group.next()
            stop.withLockedValue { $0 = true }
            wake.raise()
            group.cancelAll()
        }
        if let error = failure.withLockedValue({ $0 }) { throw error }
    }
}
