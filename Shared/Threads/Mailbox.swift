import NIOConcurrencyHelpers

/// A bounded queue into a thread that polls. When it is full the newest item is refused, so a stuck owner costs bounded memory.
public final class Mailbox<Item: Sendable>: Sendable {
    private struct State {
        var items: [Item] = []
        var weight = 0
        var bytes = 0
        var isClosed = false
        var refused: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())
    private let capacity: Int
    private let bytesMax: Int
    private let weigh: @Sendable (Item) -> Int
    private let measure: @Sendable (Item) -> Int
    private let metrics: QueueMetrics?
    private let wake: @Sendable () -> Void

    /// - Parameters:
    ///   - capacity: what all items may weigh before one more is refused.
    ///   - bytesMax: how many bytes all items may hold together; an item that is larger is taken alone.
    ///   - metrics: where its depth, in weight and bytes, and its refusals are counted.
    ///   - weigh: how much work an item is; 1 each unless told otherwise.
    ///   - measure: how many bytes an item holds.
    ///   - wake: called outside the lock when the mailbox stops being empty.
    public init(
        capacity: Int, bytesMax: Int = .max, metrics: QueueMetrics? = nil,
        weigh: @escaping @Sendable (Item) -> Int = { _ in 1 }, measure: @escaping @Sendable (Item) -> Int = { _ in 0 },
        wake: @escaping @Sendable () -> Void
    ) {
        self.capacity = capacity
        self.bytesMax = bytesMax
        self.metrics = metrics
        self.weigh = weigh
        self.measure = measure
        self.wake = wake
    }

    /// Puts an item in and wakes the owner. Returns `false` if the mailbox is full or closed; the item was not taken.
    @discardableResult
    public func post(_ item: Item) -> Bool { self.post([item], isBounded: true) }

    /// Puts an item in that is taken even when the mailbox is full: an answer that somebody waits for, of which there are only as
    /// many as there were questions. Returns `false` if the mailbox is closed.
    @discardableResult
    public func postAnswer(_ item: Item) -> Bool { self.post([item], isBounded: false) }

    /// Puts items in together, as answers, with one wake. Returns `false` if the mailbox is closed; none was taken.
    @discardableResult
    public func postAnswers(_ items: [Item]) -> Bool { self.post(items, isBounded: false) }

    private func post(_ items: [Item], isBounded: Bool) -> Bool {
        guard !items.isEmpty else { return !self.isClosed }
        let (weight, bytes) = self.size(of: items)
        // Before the owner can take them out, so that the depth never seems negative.
        self.metrics?.add(items: weight, bytes: bytes)
        let (isTaken, isFirst) = self.state.withLockedValue { state -> (Bool, Bool) in
            let hasRoom =
                state.weight < self.capacity && (state.items.isEmpty || state.bytes + bytes <= self.bytesMax)
            guard !state.isClosed, hasRoom || !isBounded else {
                state.refused += UInt64(items.count)
                return (false, false)
            }
            state.items += items
            state.weight += weight
            state.bytes += bytes
            return (true, state.items.count == items.count)
        }
        if !isTaken {
            self.metrics?.remove(items: weight, bytes: bytes)
            self.metrics?.refuse(items.count)
        }
        if isFirst { self.wake() }
        return isTaken
    }

    private func size(of items: some Sequence<Item>) -> (weight: Int, bytes: Int) {
        items.reduce(into: (0, 0)) { size, item in
            size.0 += self.weigh(item)
            size.1 += self.measure(item)
        }
    }

    /// Takes what is there, in order: items until they weigh `max` together, or everything. What is left wakes nobody.
    public func drain(upTo max: Int = .max) -> [Item] {
        let (taken, weight, bytes) = self.state.withLockedValue { state -> ([Item], Int, Int) in
            guard state.weight > max else {
                defer { (state.items, state.weight, state.bytes) = ([], 0, 0) }
                return (state.items, state.weight, state.bytes)
            }
            var sum = 0
            let end = state.items.firstIndex { item in
                defer { sum += self.weigh(item) }
                return sum >= max
            }
            let taken = Array(state.items[..<(end ?? state.items.endIndex)])
            state.items.removeFirst(taken.count)
            let (weight, bytes) = self.size(of: taken)
            state.weight -= weight
            state.bytes -= bytes
            return (taken, weight, bytes)
        }
        if !taken.isEmpty { self.metrics?.remove(items: weight, bytes: bytes) }
        return taken
    }

    /// Refuses further items and wakes the owner, which sees `isClosed`.
    public func close() {
        self.state.withLockedValue { $0.isClosed = true }
        self.wake()
    }

    public var isClosed: Bool { self.state.withLockedValue { $0.isClosed } }
    /// What the items weigh that wait.
    public var weight: Int { self.state.withLockedValue { $0.weight } }
    /// How many bytes the items hold that wait.
    public var bytes: Int { self.state.withLockedValue { $0.bytes } }
    /// How many items were refused since the start.
    public var refused: UInt64 { self.state.withLockedValue { $0.refused } }
}
