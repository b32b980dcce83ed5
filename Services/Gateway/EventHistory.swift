import Events

/// The events that a loop has given out lately, numbered in the order in which it did: what an operator can ask about.
struct EventHistory {
    struct Entry {
        let number: UInt64
        /// Without its data, which nobody asks about.
        let event: Event
        let kind: CatalogueEntry
    }

    private static let capacity = 16_384

    private var entries: [Entry] = []
    /// The number of the last one; the first has 1.
    private(set) var last: UInt64 = 0

    /// Gives the event its number.
    mutating func note(_ event: Event, _ kind: CatalogueEntry) -> UInt64 {
        self.last += 1
        var event = event
        event.data = []
        let entry = Entry(number: self.last, event: event, kind: kind)
        if self.entries.count < Self.capacity {
            self.entries.append(entry)
        } else {
            self.entries[Int((self.last - 1) % UInt64(Self.capacity))] = entry
        }
        return self.last
    }

    /// `nil`: it never came here, or that is too long ago.
    subscript(_ id: ULID) -> Entry? { self.entries.first { $0.event.id == id } }
}
