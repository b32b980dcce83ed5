import Dialects
import Events

/// Projections of one dialect that concern the same listeners, one after the other: whom they go to is looked up once for all of them.
struct Bundle {
    /// An event of this turn, with its place in the loop's history.
    struct Numbered {
        let event: Event
        let kind: CatalogueEntry
        let number: UInt64
        /// For one that was missed and came late: when it happened.
        var moment: Timestamp?
    }

    private(set) var projections: [Projection]
    private(set) var events: [Numbered]
    private var bytes: Int

    var keys: [String] { self.projections[0].keys }
    var tenant: String { self.events[0].event.tenant }
    var room: String { self.events[0].event.room }
    var kind: CatalogueEntry { self.events[0].kind }

    /// How much a client is given before it is asked again whether it takes more.
    private static let bytesMax = 128 * 1024
    private static let eventsMax = 256

    init(_ projection: Projection, of event: Numbered) {
        self.projections = [projection]
        self.events = [event]
        self.bytes = event.event.data.count
    }

    /// `false`: it concerns other listeners, or there is no room for it.
    mutating func take(_ projection: Projection, of event: Numbered) -> Bool {
        guard event.kind.index == self.kind.index, event.event.room == self.room, event.event.tenant == self.tenant,
            projection.keys == self.keys, self.events.count < Self.eventsMax,
            self.bytes + event.event.data.count <= Self.bytesMax
        else { return false }
        self.projections.append(projection)
        self.events.append(event)
        self.bytes += event.event.data.count
        return true
    }
}
