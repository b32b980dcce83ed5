import Events

/// The ids of the last durable events that were delivered of one publisher, so that a page of its log that may hold some of them
/// delivers none twice.
struct RecentEvents {
    private var ids: [ULID] = []
    /// Where the oldest is once there are `max`.
    private var next = 0

    static let max = 16_384

    mutating func insert(_ id: ULID) {
        if self.ids.count < Self.max {
            self.ids.append(id)
        } else {
            self.ids[self.next] = id
            self.next = (self.next + 1) % Self.max
        }
    }

    /// The ids for look-ups; it takes a while to make.
    var set: Set<ULID> { Set(self.ids) }
}
