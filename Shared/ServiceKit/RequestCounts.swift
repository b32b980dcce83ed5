import Metrics
import NIOConcurrencyHelpers

/// How many requests a process has answered, and how long they took together.
public final class RequestCounts: Sendable {
    private let totals = NIOLockedValueBox((count: 0, time: Duration.zero))
    private let timer = Timer(label: "http_request_seconds")

    public init() {}

    public func record(_ duration: Duration) {
        self.totals.withLockedValue {
            $0.count += 1
            $0.time += duration
        }
        self.timer.recordNanoseconds(Int64(duration / .nanoseconds(1)))
    }

    public var count: Int { self.totals.withLockedValue { $0.count } }
    public var seconds: Double { self.totals.withLockedValue { $0.time } / .seconds(1) }
}
