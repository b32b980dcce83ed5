import Dialects
import Metrics
import WebSockets

/// What becomes of a client that does not read as fast as it is sent to (docs/dialects/README.md §3): telemetry makes way for newer
/// telemetry, then goes what its dialect can do without, and in the end the client.
struct SlowClients {
    /// What may wait for one client.
    static let framesMax = 1000
    static let bytesMax = 4 << 20

    /// How long it may stay beyond that: a burst within one turn is not slowness.
    private static let backlogMax = Duration.seconds(1)
    /// Making room costs as much as what waits, so it is worth it only if as much is free afterwards.
    private static let left = (frames: framesMax * 7 / 8, bytes: bytesMax * 7 / 8)

    private let tooSlow = Counter(label: "gateway_slow_clients_total")
    private let conflated = Counter(label: "gateway_undelivered_total", dimensions: [("why", "conflated")])
    private let dropped = Counter(label: "gateway_undelivered_total", dimensions: [("why", "dropped")])

    /// Whether the client's queue takes one more event; if not, the client has been closed.
    func takesMore(_ client: Client, _ now: ContinuousClock.Instant) -> Bool {
        let connection = client.connection
        guard connection.queuedFrames > 0 else {
            client.backlogSince = nil
            return true
        }
        let since = client.backlogSince ?? now
        client.backlogSince = since
        guard Self.isFull(connection) else { return true }
        let isOverdue = now - since > Self.backlogMax
        guard isOverdue || connection.queuedFrames >= client.shedAt || connection.queuedBytes >= Self.bytesMax * 2
        else {
            return true
        }
        let shedding = connection.shed(downTo: Self.left)
        client.losses.note(shedding)
        self.conflated.increment(by: shedding.conflated.count)
        self.dropped.increment(by: shedding.dropped.count)
        client.shedAt = connection.queuedFrames + Self.framesMax / 8
        if connection.queuedFrames <= Self.left.frames, connection.queuedBytes <= Self.left.bytes { return true }
        guard isOverdue else { return true }
        self.tooSlow.increment()
        client.close(.tooSlow, discardingQueue: true)
        return false
    }

    private static func isFull(_ connection: Connection) -> Bool {
        connection.queuedFrames >= Self.framesMax || connection.queuedBytes >= Self.bytesMax
    }
}
