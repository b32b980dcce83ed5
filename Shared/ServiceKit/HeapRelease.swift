import FoundationEssentials
import Glibc
import Logging
import ServiceLifecycle
import Threads

/// Gives memory back to the system that a peak has left behind: glibc keeps it otherwise, wherever something lies behind it. On a thread of
/// its own, since it takes some milliseconds for each 100 MiB.
struct HeapRelease: Service {
    private let logger: Logger

    private static let intervalMilliseconds: Int32 = 5000

    /// Resident memory that the heap does not use: free pages, which can be given back, and what stays for good (stacks, relocated data).
    struct Surplus {
        /// What the last release left.
        private var floor = 0

        /// It is not worth it for less.
        static let bytesMin = 4 << 20

        /// Returns whether enough came on top of what the last release left.
        mutating func isWorthReleasing(resident: Int, used: Int) -> Bool {
            let surplus = max(0, resident - used)
            self.floor = min(self.floor, surplus)
            return surplus >= self.floor + Self.bytesMin
        }

        mutating func released(resident: Int, used: Int) { self.floor = max(0, resident - used) }
    }

    init(logger: Logger) { self.logger = logger }

    func run() async throws {
        let end = WakeSignal()
        let logger = self.logger
        let thread = WorkerThread(name: "heap", interrupts: false) {
            var signal = pollfd(fd: end.descriptor, events: Int16(POLLIN), revents: 0)
            var surplus = Surplus()
            while poll(&signal, 1, Self.intervalMilliseconds) <= 0 { Self.release(&surplus, logger) }
        }
        // `try?`: it throws when it is cancelled, which is an end as well.
        try? await gracefulShutdown()
        end.raise()
        await thread.join()
    }

    private static func release(_ surplus: inout Surplus, _ logger: Logger) {
        guard let resident = self.residentBytes else { return }
        let start = ContinuousClock.now
        let used = Heap.usedBytes
        guard surplus.isWorthReleasing(resident: resident, used: used) else { return }
        Heap.releaseFreePages()
        let left = self.residentBytes ?? resident
        surplus.released(resident: left, used: used)
        let released = resident - left
        guard released > 0 else { return }
        logger.debug(
            "Memory was given back to the system",
            metadata: ["memory.released": "\(released)", "memory.seconds": "\(ContinuousClock.now - start)"])
    }

    /// Memory of the process alone, without files: the second number of `/proc/self/statm` without the third (proc(5)).
    private static var residentBytes: Int? {
        // `try?`: a file that is not there is all there is to say.
        let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        let pages = (text ?? "").split(separator: " ").compactMap { Int($0) }
        return pages.count > 2 ? (pages[1] - pages[2]) * sysconf(Int32(_SC_PAGESIZE)) : nil
    }
}
