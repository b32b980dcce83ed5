/// Waiting times between attempts to connect: 0.2 s, doubled up to 5 s, each shortened by up to a fifth so that many do not come at once.
struct Backoff {
    private static let range = 200...5000
    private var next = Self.range.lowerBound

    mutating func reset() { self.next = Self.range.lowerBound }

    mutating func pause() -> Duration {
        defer { self.next = min(self.next * 2, Self.range.upperBound) }
        return .milliseconds(Int.random(in: self.next * 4 / 5...self.next))
    }
}
