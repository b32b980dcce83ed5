import CZeroMQ
public import Events
import Metrics

/// Binds a service's PUB socket and sends its events, in the order they are given. A send never waits: what a subscriber's queue
/// does not take is dropped by ZeroMQ, and the subscriber repairs it from the log.
public actor Publisher {
    private let socket: Socket
    private let published = Counter(label: "bus_published_events_total")

    /// - Parameters:
    ///   - keys: what it proves itself with, and whom it lets listen; `nil`: everyone.
    ///   - queueMax: how many events may wait for one subscriber, besides those on their way: a third of a second at 50,000 a second.
    ///     ZeroMQ knows no bound in bytes.
    public init(endpoint: String, keys: BusKeys? = nil, queueMax: Int32 = 16_384) throws {
        let socket = try Socket(.pub, in: Context())
        try socket.set(ZMQ_SNDHWM, queueMax)
        try socket.bind(endpoint, keys)
        self.socket = socket
    }

    /// Sends events that are committed (durable) or measured (transient).
    public func publish(_ events: [Event]) {
        for event in events { self.send(EventCodec.frames(of: event)) }
        self.published.increment(by: events.count)
    }

    /// Says where the log ends; a position of epoch 0 means that the log is out of reach.
    public func announce(_ announcement: Announcement) {
        self.send(announcement.frames)
    }

    private func send(_ frames: [[UInt8]]) {
        // A PUB socket fails only when its context ends, and then nobody listens any more.
        _ = try? self.socket.send(frames)
    }
}
