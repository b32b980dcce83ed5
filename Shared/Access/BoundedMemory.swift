/// Keeps about so many values. What has not been looked up for longest goes first, by halves: each value is young, and later old,
/// and when there is no room among the young the old are let go.
struct BoundedMemory<Key: Hashable, Value> {
    private var young: [Key: Value] = [:]
    private var old: [Key: Value] = [:]
    private let half: Int

    init(capacity: Int) { self.half = max(1, capacity / 2) }

    var count: Int { self.young.count + self.old.count }

    mutating func value(_ key: Key) -> Value? {
        if let value = self.young[key] { return value }
        guard let value = self.old.removeValue(forKey: key) else { return nil }
        self.keep(value, key)
        return value
    }

    mutating func keep(_ value: Value, _ key: Key) {
        self.old[key] = nil
        if self.young.count >= self.half, self.young[key] == nil {
            self.old = self.young
            self.young = [:]
        }
        self.young[key] = value
    }

    mutating func forget(_ key: Key) {
        self.young[key] = nil
        self.old[key] = nil
    }

    mutating func forgetAll() {
        self.young = [:]
        self.old = [:]
    }
}

extension BoundedMemory: Sendable where Key: Sendable, Value: Sendable {}
