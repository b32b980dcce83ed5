internal import Metrics

/// The metrics of a queue: how much waits in it, and what it refused. Queues of the same name are added up.
public struct QueueMetrics: Sendable {
    private let items: Meter
    private let bytes: Meter
    private let refusals: Counter

    /// - Parameter name: the queue's name in docs/operations.md.
    public init(queue name: String) {
        self.items = Meter(label: "queue_items", dimensions: [("queue", name)])
        self.bytes = Meter(label: "queue_bytes", dimensions: [("queue", name)])
        self.refusals = Counter(label: "queue_refused_total", dimensions: [("queue", name)])
        // A queue that nobody has come to is shown as empty.
        self.items.increment(by: 0)
        self.bytes.increment(by: 0)
    }

    /// Counts what is put into the queue.
    public func add(items: Int = 1, bytes: Int = 0) {
        self.items.increment(by: Double(items))
        if bytes != 0 { self.bytes.increment(by: Double(bytes)) }
    }

    /// Counts what is taken out of the queue.
    public func remove(items: Int = 1, bytes: Int = 0) {
        self.items.decrement(by: Double(items))
        if bytes != 0 { self.bytes.decrement(by: Double(bytes)) }
    }

    /// Counts what the queue does not take, or drops.
    public func refuse(_ count: Int = 1) { self.refusals.increment(by: count) }
}
