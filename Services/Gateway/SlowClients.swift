import Dialects
import Metrics
import WebSockets

/// What becomes of a client that does not read as fast as it is sent to (docs/dialects/README.md §3): telemetry makes way for newer
/// telemetry, then goes what its dialect can do without, and in the end the client.
struct SlowClients {
    /// What may wait for one client.
    static let framesMax = 1000
    static let bytesMax = 4 << 20

    /// How long a client may take none of its replies while so many wait that nothing is read from it.
    static let repliesMax = Duration.seconds(10)

    /// What waits for one client, as far as it matters here.
    struct Backlog {
        /// Since when it has taken nothing of it.
        var since: ContinuousClock.Instant?
        /// When to make room again.
        var framesMax = SlowClients.framesMax
        var bytesMax = SlowClients.bytesMax
    }

    /// How long it may stay beyond that and take nothing: a burst within one turn is not slowness.
    private static let backlogMax = Duration.seconds(1)
    /// So many times as much is too much in any case.
    private static let hardLimit = 16
    /// Making room costs as much as what waits, so it is worth it only if as much is free afterwards.
    private static let left = (frames: framesMax * 7 / 8, bytes: bytesMax * 7 / 8)

    private let tooSlow = Counter(label: "gateway_slow_clients_total")
    private let conflated = Counter(label: "gateway_undelivered_total", dimensions: [("why", "conflated")])
    private let dropped = Counter(label: "gateway_undelivered_total", dimensions: [("why", "dropped")])

    /// Whether the client's queue takes one more event; if not, the client has been closed.
    func takesMore(_ client: Client, _ now: ContinuousClock.Instant) -> Bool {
        let connection = client.connection
        guard connection.queuedFrames > 0 else {
            client.backlog = Backlog()
            return true
        }
        // A client that takes something is not stuck, however much a long turn has piled up for it.
        if connection.takeProgress() { client.backlog.since = now }
        let since = client.backlog.since ?? now
        client.backlog.since = since
        let (frames, bytes) = (connection.queuedFrames, connection.queuedBytes)
        guard frames >= Self.framesMax || bytes >= Self.bytesMax else { return true }
        let isOverdue =
            now - since > Self.backlogMax || frames >= Self.framesMax * Self.hardLimit
            || bytes >= Self.bytesMax * Self.hardLimit
        guard isOverdue || frames >= client.backlog.framesMax || bytes >= client.backlog.bytesMax else { return true }
        let shedding = connection.shed(downTo: Self.left)
        client.losses.note(shedding)
        self.conflated.increment(by: shedding.conflated.count)
        self.dropped.increment(by: shedding.dropped.count)
        // The more is left, the longer until it is worth another try.
        client.backlog.framesMax = max(Self.framesMax, connection.queuedFrames * 9 / 8)
        client.backlog.bytesMax = max(Self.bytesMax, connection.queuedBytes * 9 / 8)
        if connection.queuedFrames <= Self.left.frames, connection.queuedBytes <= Self.left.bytes { return true }
        guard isOverdue else { return true }
        self.close(client)
        return false
    }

    /// Closes a client that takes too little of what it is sent.
    func close(_ client: Client) {
        self.tooSlow.increment()
        client.close(.tooSlow, discardingQueue: true)
    }
}
