/// Which statements a connection has prepared, by text and parameter types; the one unused longest makes room.
struct StatementCache {
    struct Key: Hashable {
        let sql: String
        let types: [UInt32]
    }

    private struct Entry {
        let name: String
        var lastUse: UInt64
    }

    private var entries: [Key: Entry] = [:]
    private var uses: UInt64 = 0
    private let capacity: Int

    init(capacity: Int) { self.capacity = capacity }

    /// The name of a statement that is prepared already.
    mutating func name(of key: Key) -> String? {
        self.uses += 1
        self.entries[key]?.lastUse = self.uses
        return self.entries[key]?.name
    }

    /// The statement to deallocate before another is prepared; `nil` while there is room.
    var oldest: (key: Key, name: String)? {
        guard self.entries.count >= self.capacity,
            let oldest = self.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
        else { return nil }
        return (oldest.key, oldest.value.name)
    }

    mutating func remove(_ key: Key) { self.entries[key] = nil }

    /// A name for a statement that is about to be prepared; it counts once `insert` says so.
    var nextName: String { "s\(self.uses)" }

    mutating func insert(_ key: Key, name: String) { self.entries[key] = Entry(name: name, lastUse: self.uses) }
}
