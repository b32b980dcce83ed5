/// Waiting times between attempts to reach something: the shortest, doubled up to the longest, each shortened by up to a fifth so that
/// many do not come at once.
public struct Backoff: Sendable {
    private let shortest: Duration
    private let longest: Duration
    private var next: Duration

    public init(from shortest: Duration, to longest: Duration) {
        self.shortest = shortest
        self.longest = longest
        self.next = shortest
    }

    public mutating func reset() { self.next = self.shortest }

    public mutating func pause() -> Duration {
        defer { self.next = min(self.next * 2, self.longest) }
        return self.next * Double.random(in: 0.8...1)
    }
}
