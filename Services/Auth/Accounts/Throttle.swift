/// Slows down whoever guesses: from one failure in a row on, each further one doubles the time in which nothing is looked at.
///
/// An attempt counts as a failure from its beginning, so that many at once are no way around; a success takes that back. It
/// remembers a bounded number of keys; the one that was quiet for longest is forgotten first.
struct Throttle {
    typealias Moment = ContinuousClock.Instant

    private struct Record {
        var failures: Int
        var last: Moment
        var until: Moment
    }

    /// The failure from which on there is a pause.
    private let threshold: Int
    private let pauseMax: Duration
    private let capacity: Int
    private var records: [String: Record] = [:]

    /// After this long without a failure a key is forgotten.
    static let quiet = Duration.seconds(15 * 60)

    init(threshold: Int, pauseMax: Duration, capacity: Int = 10_000) {
        self.threshold = threshold
        self.pauseMax = pauseMax
        self.capacity = capacity
    }

    /// How many keys it remembers.
    var count: Int { self.records.count }

    /// How long the key has to wait; `nil`: it may try.
    func pause(of key: String, at now: Moment) -> Duration? {
        guard let record = self.records[key], !Self.isForgotten(record, now), record.until > now else { return nil }
        return record.until - now
    }

    /// Counts a failure, or an attempt of which nobody knows yet how it ends.
    mutating func count(_ key: String, at now: Moment) {
        if self.records[key] == nil, self.records.count >= self.capacity { self.makeRoom(now) }
        var record = self.records[key] ?? Record(failures: 0, last: now, until: now)
        if Self.isForgotten(record, now) { record.failures = 0 }
        record.failures += 1
        record.last = now
        record.until = now + self.pause(after: record.failures)
        self.records[key] = record
    }

    /// The attempt that was counted has failed just now: the pause begins here.
    mutating func confirm(_ key: String, at now: Moment) {
        guard var record = self.records[key] else { return }
        record.last = now
        record.until = now + self.pause(after: record.failures)
        self.records[key] = record
    }

    /// Takes one attempt back.
    mutating func withdraw(_ key: String) {
        guard var record = self.records[key] else { return }
        record.failures -= 1
        record.until = record.last + self.pause(after: record.failures)
        self.records[key] = record.failures > 0 ? record : nil
    }

    mutating func forget(_ key: String) { self.records[key] = nil }

    private func pause(after failures: Int) -> Duration {
        guard failures >= self.threshold else { return .zero }
        // Far beyond any limit, and far from an overflow.
        let doublings = min(failures - self.threshold, 20)
        return min(.seconds(1 << doublings), self.pauseMax)
    }

    private static func isForgotten(_ record: Record, _ now: Moment) -> Bool {
        now - record.last >= Self.quiet && record.until <= now
    }

    /// A tenth at once, so that a flood of keys does not sort them all again for each.
    private mutating func makeRoom(_ now: Moment) {
        self.records = self.records.filter { !Self.isForgotten($0.value, now) }
        guard self.records.count >= self.capacity else { return }
        let oldest = self.records.sorted { $0.value.last < $1.value.last }.prefix(max(1, self.capacity / 10))
        for (key, _) in oldest { self.records[key] = nil }
    }
}
