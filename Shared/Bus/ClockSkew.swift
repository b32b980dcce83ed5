import Events

/// Estimates how far another process's wall clock is ahead of ours, from the times in its announcements.
///
/// An announcement looks older by the time that it was on its way, so the largest of the last differences is the nearest to the truth.
struct ClockSkew {
    private var differences: [Duration] = []
    private var oldest = 0

    /// Announcements that count: about as many seconds.
    static let window = 10
    /// Clocks that differ by more are worth a warning.
    static let warningMin = Duration.seconds(1)

    /// The estimate; negative: that clock is behind ours. `nil` before the first announcement.
    var estimate: Duration? { self.differences.max() }

    /// Whether the clocks differ by more than `warningMin`. Returns `false` as long as there are too few announcements to tell.
    var isLarge: Bool {
        guard self.differences.count == Self.window, let estimate = self.estimate else { return false }
        return max(estimate, .zero - estimate) > Self.warningMin
    }

    /// - Parameters:
    ///   - sent: the other clock, when the announcement was sent.
    ///   - received: our clock, when it was received.
    mutating func record(sent: Timestamp, received: Timestamp) {
        if self.differences.count < Self.window {
            self.differences.append(sent - received)
        } else {
            self.differences[self.oldest] = sent - received
            self.oldest = (self.oldest + 1) % Self.window
        }
    }
}
