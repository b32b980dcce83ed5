import CLinux
import Glibc

/// An eventfd: any thread may `raise` it, and a thread that polls `descriptor` wakes once however often it was raised.
public final class WakeSignal: Sendable {
    /// Readable while raised.
    public let descriptor: Int32

    public init() {
        self.descriptor = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        precondition(self.descriptor >= 0, "eventfd failed: \(errno)")
    }

    deinit { _ = Glibc.close(self.descriptor) }

    public func raise() {
        var one: UInt64 = 1
        // EAGAIN means that it is raised already.
        _ = write(self.descriptor, &one, 8)
    }

    public func clear() {
        var count: UInt64 = 0
        // EAGAIN means that nothing was raised.
        _ = read(self.descriptor, &count, 8)
    }
}
