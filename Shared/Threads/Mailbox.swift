import NIOConcurrencyHelpers

/// A bounded queue into a thread that polls. When it is full the newest item is refused, so a stuck owner costs bounded memory.
public final class Mailbox<Item: Sendable>: Sendable {
    private struct State {
        var items: [Item] = []
        var weight = 0
        var isClosed = false
        var refused: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())
    private let capacity: Int
    private let weigh: @Sendable (Item) -> Int
    private let wake: @Sendable () -> Void

    /// - Parameters:
    ///   - capacity: what all items may weigh before one more is refused.
    ///   - weigh: how much work an item is; 1 each unless told otherwise.
    ///   - wake: called outside the lock when the mailbox stops being empty.
    public init(
        capacity: Int, weigh: @escaping @Sendable (Item) -> Int = { _ in 1 }, wake: @escaping @Sendable () -> Void
    ) {
        self.capacity = capacity
        self.weigh = weigh
        self.wake = wake
    }

    /// Puts an item in and wakes the owner. `false`: full or closed, the item was not taken.
    @discardableResult
    public func post(_ item: Item) -> Bool { self.post(item, within: self.capacity) }

    /// Puts an item in that is taken even when the mailbox is full: an answer that somebody waits for, of which there are only as
    /// many as there were questions.
    @discardableResult
    public func postAnswer(_ item: Item) -> Bool { self.post(item, within: .max) }

    /// Puts items in together, as answers, with one wake. `false`: closed, none was taken.
    @discardableResult
    public func postAnswers(_ items: [Item]) -> Bool {
        let weight = items.reduce(0) { $0 + self.weigh($1) }
        let (taken, first) = self.state.withLockedValue { state -> (Bool, Bool) in
            guard !state.isClosed else { return (false, false) }
            state.items += items
            state.weight += weight
            return (true, !items.isEmpty && state.items.count == items.count)
        }
        if first { self.wake() }
        return taken
    }

    private func post(_ item: Item, within capacity: Int) -> Bool {
        let weight = self.weigh(item)
        let (taken, first) = self.state.withLockedValue { state -> (Bool, Bool) in
            guard !state.isClosed, state.weight < capacity else {
                state.refused += 1
                return (false, false)
            }
            state.items.append(item)
            state.weight += weight
            return (true, state.items.count == 1)
        }
        if first { self.wake() }
        return taken
    }

    /// Takes what is there, in order: items until they weigh `max` together, or everything. What is left wakes nobody.
    public func drain(upTo max: Int = .max) -> [Item] {
        self.state.withLockedValue { state in
            var taken: [Item] = []
            guard state.weight > max else {
                swap(&taken, &state.items)
                state.weight = 0
                return taken
            }
            var weight = 0
            let end = state.items.firstIndex { item in
                defer { weight += self.weigh(item) }
                return weight >= max
            }
            taken = Array(state.items[..<(end ?? state.items.endIndex)])
            state.items.removeFirst(taken.count)
            state.weight -= taken.reduce(0) { $0 + self.weigh($1) }
            return taken
        }
    }

    /// Refuses further items and wakes the owner, which sees `isClosed`.
    public func close() {
        self.state.withLockedValue { $0.isClosed = true }
        self.wake()
    }

    public var isClosed: Bool { self.state.withLockedValue { $0.isClosed } }
    /// What the items weigh that wait.
    public var weight: Int { self.state.withLockedValue { $0.weight } }
    /// How many items were refused since the start.
    public var refused: UInt64 { self.state.withLockedValue { $0.refused } }
}
