internal import Events

/// The moments at which events are written, as the log keeps them (`logged`). They never go back, so that the log has the same order by
/// them as by `seq`, and a search for a moment finds the first event: after the clock was set back, events are written at the last moment.
struct LogClock {
    /// The moment of the last event; `nil`: there is none.
    private var last: Timestamp?

    /// By how much the clock may be set back. A moment that is further ahead was a mistake, and is not kept.
    private static let setBackMax = Duration.seconds(3600)

    init(last: Timestamp? = nil) { self.last = last }

    mutating func next(at now: Timestamp) -> Timestamp {
        let isSetBack = self.last.map { $0 > now && $0 - now <= Self.setBackMax } ?? false
        let moment = isSetBack ? self.last ?? now : now
        self.last = moment
        return moment
    }
}
