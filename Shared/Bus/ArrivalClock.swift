/// Estimates when the messages that are read from a socket arrived: not later than they did, but for `errorMax`.
///
/// A message may have waited before it is read: in the socket while its thread was busy, or in the system while the process was stopped.
/// It cannot have arrived before the socket was last seen empty, nor, after a stop, before the last look that preceded the stop.
struct ArrivalClock {
    /// The earliest moment at which what is read now can have arrived.
    private(set) var earliest: ContinuousClock.Instant
    /// Nothing was left in the socket when it was last read.
    private var isEmpty = true
    /// When it was last read to its end.
    private var looked: ContinuousClock.Instant
    /// When the thread was last known to run.
    private var seen: ContinuousClock.Instant
    /// When the last stop was over.
    private var stopEnd: ContinuousClock.Instant?

    /// How long to wait for a message at the most, so that a stop is noticed.
    static let waitMax = Duration.milliseconds(250)
    /// How much later than its timeout a wait may end on a busy machine.
    private static let lateness = Duration.milliseconds(150)
    static let errorMax = Self.waitMax + Self.lateness
    /// How long after a stop a socket may look empty while the library is still taking in what waited in the system.
    static let intakeMax = Duration.milliseconds(200)

    init(at now: ContinuousClock.Instant) {
        self.earliest = now
        self.looked = now
        self.seen = now
    }

    /// Notes that a wait for messages has ended: it would have ended when a message arrived, unless the thread did not run.
    mutating func waited(until now: ContinuousClock.Instant) {
        self.run(at: now)
        if self.isEmpty, self.hasTakenIn(at: now) { self.earliest = now }
    }

    /// Notes that a read found nothing.
    /// - Parameter moment: a moment before that read.
    mutating func foundEmpty(at moment: ContinuousClock.Instant) {
        self.run(at: moment)
        self.isEmpty = true
        self.looked = moment
        if self.hasTakenIn(at: moment) { self.earliest = moment }
    }

    /// Notes that reading stopped while messages may be left.
    mutating func stoppedReading(at moment: ContinuousClock.Instant) {
        self.run(at: moment)
        self.isEmpty = false
    }

    private mutating func run(at now: ContinuousClock.Instant) {
        if now - self.seen > Self.errorMax {
            if self.isEmpty { self.earliest = max(self.earliest, self.looked) }
            self.stopEnd = now
        }
        self.seen = now
    }

    private func hasTakenIn(at now: ContinuousClock.Instant) -> Bool {
        self.stopEnd.map { now - $0 >= Self.intakeMax } ?? true
    }
}
