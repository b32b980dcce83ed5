import NIOConcurrencyHelpers

/// A bounded queue into a thread that polls. When it is full the newest item is refused, so a stuck owner costs bounded memory.
public final class Mailbox<Item: Sendable>: Sendable {
    private struct State {
        var items: [Item] = []
        var isClosed = false
        var refused: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())
    private let capacity: Int
    private let wake: @Sendable () -> Void

    /// - Parameter wake: called outside the lock when the mailbox stops being empty.
    public init(capacity: Int, wake: @escaping @Sendable () -> Void) {
        self.capacity = capacity
        self.wake = wake
    }

    /// Puts an item in and wakes the owner. `false`: full or closed, the item was not taken.
    @discardableResult
    public func post(_ item: Item) -> Bool { self.post(item, within: self.capacity) }

    /// Puts an item in that is taken even when the mailbox is full: an answer that somebody waits for, of which there are only as
    /// many as there were questions.
    @discardableResult
    public func postAnswer(_ item: Item) -> Bool { self.post(item, within: .max) }

    private func post(_ item: Item, within capacity: Int) -> Bool {
        let (taken, first) = self.state.withLockedValue { state -> (Bool, Bool) in
            guard !state.isClosed, state.items.count < capacity else {
                state.refused += 1
                return (false, false)
            }
            state.items.append(item)
            return (true, state.items.count == 1)
        }
        if first { self.wake() }
        return taken
    }

    /// Takes everything that is there, in order.
    public func drain() -> [Item] {
        self.state.withLockedValue { state in
            var taken: [Item] = []
            swap(&taken, &state.items)
            return taken
        }
    }

    /// Refuses further items and wakes the owner, which sees `isClosed`.
    public func close() {
        self.state.withLockedValue { $0.isClosed = true }
        self.wake()
    }

    public var isClosed: Bool { self.state.withLockedValue { $0.isClosed } }
    public var count: Int { self.state.withLockedValue { $0.items.count } }
    /// How many items were refused since the start.
    public var refused: UInt64 { self.state.withLockedValue { $0.refused } }
}
