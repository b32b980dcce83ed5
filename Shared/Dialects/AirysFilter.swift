import Events

/// Which events of which cameras a client wants.
struct AirysFilter {
    /// Filter keys on one connection.
    private static let keysMax = 4096

    /// In the order in which they were asked for; `*` means all.
    private var events = Airys.ownTypes
    /// `nil`: all of them.
    private var cameras: [String]?
    /// Nothing was asked for yet: the first subscribe replaces it.
    private var isInitial = true

    var keys: Set<String> {
        let events = self.events.contains("*") ? ["*"] : self.events
        return Set(events.flatMap { event in (self.cameras ?? ["*"]).map { filterKey(event, $0) } })
    }

    var isAllowed: Bool { self.events.count * (self.cameras?.count ?? 1) <= Self.keysMax }

    /// The filter as the client reads it.
    var data: [String: JSON] {
        [
            "events": .array(self.events.map(JSON.string)),
            "camera_ids": self.cameras.map { .array($0.map(JSON.string)) } ?? .null,
        ]
    }

    /// What is not named means all of its kind.
    func adding(events: [String]?, cameras: [String]?) -> AirysFilter {
        var filter = self
        let asked = events ?? Airys.ownTypes
        filter.events = self.isInitial ? asked : (self.events + asked).unique
        if self.isInitial {
            filter.cameras = cameras
        } else if let cameras, let held = self.cameras {
            filter.cameras = (held + cameras).unique
        } else {
            filter.cameras = nil
        }
        filter.isInitial = false
        return filter
    }

    /// Removes what is named; naming nothing removes everything. One camera cannot be taken out of all of them.
    func removing(events: [String]?, cameras: [String]?) -> AirysFilter {
        var filter = self
        filter.isInitial = false
        if events == nil, cameras == nil {
            filter.events = []
            return filter
        }
        filter.events = events?.contains("*") == true ? [] : self.events.filter { events?.contains($0) != true }
        filter.cameras = self.cameras?.filter { cameras?.contains($0) != true }
        return filter
    }
}
