import Events

/// The events that a loop has given out lately, numbered in the order in which it did: what an operator can ask about.
struct EventHistory {
    struct Entry {
        let number: UInt64
        /// Without its data, which nobody asks about.
        let event: Event
        let kind: CatalogueEntry
        /// For one that was missed and came late: when it happened.
        let moment: Timestamp?
        /// Places of the dialects whose clients do not take a frame of its size.
        var tooLargeFor: [Int] = []
    }

    private static let capacity = 16_384

    private var entries: [Entry] = []
    /// The number of the last one; the first has 1.
    private(set) var last: UInt64 = 0

    /// Gives the event its number.
    /// - Parameter moment: when it happened, if it was missed then.
    mutating func note(_ event: Event, _ kind: CatalogueEntry, moment: Timestamp? = nil) -> UInt64 {
        self.last += 1
        var event = event
        event.data = []
        let entry = Entry(number: self.last, event: event, kind: kind, moment: moment)
        if self.entries.count < Self.capacity {
            self.entries.append(entry)
        } else {
            self.entries[self.place(of: self.last)] = entry
        }
        return self.last
    }

    mutating func noteTooLarge(_ number: UInt64, for dialect: Int) {
        guard number > 0, number <= self.last, self.entries[self.place(of: number)].number == number else { return }
        self.entries[self.place(of: number)].tooLargeFor.append(dialect)
    }

    private func place(of number: UInt64) -> Int { Int((number - 1) % UInt64(Self.capacity)) }

    /// `nil`: it never came here, or that is too long ago.
    subscript(_ id: ULID) -> Entry? { self.entries.first { $0.event.id == id } }
}
