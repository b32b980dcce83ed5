import Events

/// Commands of one Astro connection beyond its rate: one a second is answered, the others are dropped, and too many of them in a
/// short time end the connection.
struct AstroFlood {
    enum Answer {
        case answer, ignore, close
    }

    /// More commands beyond the rate than that within `window` are no mistake of a client's.
    private static let droppedMax = 1000
    private static let window = Duration.seconds(10)
    private static let answerInterval = Duration.seconds(1)

    private var dropped = 0
    private var began: Timestamp?
    private var answered: Timestamp?

    /// Counts one command that was dropped, and returns what becomes of it.
    mutating func dropped(at now: Timestamp) -> Answer {
        if self.began.map({ Self.isOver(Self.window, since: $0, at: now) }) ?? true {
            (self.began, self.dropped) = (now, 0)
        }
        self.dropped += 1
        guard self.dropped <= Self.droppedMax else { return .close }
        guard self.answered.map({ Self.isOver(Self.answerInterval, since: $0, at: now) }) ?? true else {
            return .ignore
        }
        self.answered = now
        return .answer
    }

    /// The wall clock may step back; then it begins anew.
    private static func isOver(_ time: Duration, since start: Timestamp, at now: Timestamp) -> Bool {
        now < start || now - start >= time
    }
}
