/// The commands that cross the bus, by who answers them. A field may be added; a new meaning is a new command.

// MARK: every service with a log

/// Asks for a page of a publisher's durable log, in order of `seq`. The answer is a `ReplayPage` in bus frames, hence not JSON.
public struct ReplayRequest: Codable, Sendable, Hashable {
    public static let name = "events.replay"
    /// Where the asker stands: it wants what the log holds behind it. `nil`: it has not been told of this log yet.
    public var after: Position?
    /// How long ago, in milliseconds, the asker last had everything of this publisher (or began to listen). Where `after` is of no use
    /// (`nil`, of another epoch, or of a term that this log does not know), the page begins there, by the publisher's own clock.
    public var ago: Int64
    /// How many events at most.
    public var limit: Int

    public init(after: Position?, ago: Int64, limit: Int) {
        self.after = after
        self.ago = ago
        self.limit = limit
    }
}

// MARK: stream-metrics

/// Whether a stream exists and whose it is (WAVE's `subscribe`).
public struct FindStream: Command {
    public struct Answer: Codable, Sendable {
        public var id: String
        public var tenant: String

        public init(id: String, tenant: String) {
            self.id = id
            self.tenant = tenant
        }
    }
    public static let name = "stream.find"
    public static let service = ServiceName.streamMetrics
    public static let askers: Set<BusRole> = [.gateway]
    public var stream: String
    public init(stream: String) { self.stream = stream }
}

/// A chat line of a client: stored, then published as `chat.message`. Fails with `notFound`, `forbidden` (another tenant's),
/// `conflict` (the stream has ended), `invalid`.
public struct SendChat: Command {
    public struct Answer: Codable, Sendable {
        public var messageID: String
        public init(messageID: String) { self.messageID = messageID }
    }
    public static let name = "chat.send"
    public static let service = ServiceName.streamMetrics
    public static let askers: Set<BusRole> = [.gateway]
    public var stream: String
    public var message: String
    public var sender: Principal

    public init(stream: String, message: String, sender: Principal) {
        self.stream = stream
        self.message = message
        self.sender = sender
    }
}

/// An emoji of a client: counted, then published as `reaction.received`. Fails like `SendChat`; the stream must be live.
public struct SendReaction: Command {
    public struct Answer: Codable, Sendable {
        /// How often that emoji was sent since the stream went live.
        public var count: Int
        public init(count: Int) { self.count = count }
    }
    public static let name = "reaction.send"
    public static let service = ServiceName.streamMetrics
    public static let askers: Set<BusRole> = [.gateway]
    public var stream: String
    public var reaction: String
    public var sender: Principal

    public init(stream: String, reaction: String, sender: Principal) {
        self.stream = stream
        self.reaction = reaction
        self.sender = sender
    }
}

/// What the output of an encoder does at the moment, said every few seconds while it can be asked: starts the stream, ends it, and is the
/// measure of its health. A stream that has ended goes on as a new one of the same kind. Fails with `notFound`.
public struct FeedStream: Command {
    public struct Answer: Codable, Sendable {
        /// The stream that is fed from now on.
        public var stream: String
        /// Why it is not live although the encoder is: the plan allows no more. It is started as soon as there is room.
        public var refusal: String?

        public init(stream: String, refusal: String? = nil) {
            self.stream = stream
            self.refusal = refusal
        }
    }

    /// Counted since the output started.
    public struct Counters: Codable, Sendable, Hashable {
        public var bytes: Int64
        public var totalFrames: Int64
        public var skippedFrames: Int64

        public init(bytes: Int64, totalFrames: Int64, skippedFrames: Int64) {
            self.bytes = bytes
            self.totalFrames = totalFrames
            self.skippedFrames = skippedFrames
        }
    }
    public static let name = "stream.feed"
    public static let service = ServiceName.streamMetrics
    public static let askers: Set<BusRole> = [.suite]
    public var stream: String
    public var tenant: String
    /// Whose output it is, for logs: `obs:studio`.
    public var encoder: String
    public var isLive: Bool
    /// How long the output has been live, in milliseconds; `nil` while it is not. A duration, because the clocks of the two machines may
    /// differ.
    public var liveFor: Int64?
    public var counters: Counters
    public var fps: Double?
    /// The plan of whoever bound the stream to the encoder; `nil`: any number of streams may be live.
    public var tier: Tier?

    public init(
        stream: String, tenant: String, encoder: String, isLive: Bool, liveFor: Int64?, counters: Counters,
        fps: Double?, tier: Tier? = nil
    ) {
        self.stream = stream
        self.tenant = tenant
        self.encoder = encoder
        self.isLive = isLive
        self.liveFor = liveFor
        self.counters = counters
        self.fps = fps
        self.tier = tier
    }
}

// MARK: camera-events

/// Starts, stops or sets a camera's stream, or asks for its status (contract airys §4). Fails with `notFound`, `invalid`, `conflict`
/// (the service cannot do it: `CONTROL_FAILED`).
public struct ControlCamera: Command {
    public struct Answer: Codable, Sendable {
        /// The `stream_status` data after the action, as the event says it.
        public var status: JSON
        public init(status: JSON) { self.status = status }
    }
    public static let name = "camera.control"
    public static let service = ServiceName.cameraEvents
    public static let askers: Set<BusRole> = [.gateway]
    public var camera: String
    /// `start`, `stop`, `restart`, `set_quality` or `status`.
    public var action: String
    public var settings: JSON?
    public var sender: Principal

    public init(camera: String, action: String, settings: JSON?, sender: Principal) {
        self.camera = camera
        self.action = action
        self.settings = settings
        self.sender = sender
    }
}

/// The current `stream_status` data of every camera with an active stream (contract airys §9: the snapshot after a login).
public struct ActiveCameras: Command {
    public struct Answer: Codable, Sendable {
        public var statuses: [JSON]
        public init(statuses: [JSON]) { self.statuses = statuses }
    }
    public static let name = "camera.active"
    public static let service = ServiceName.cameraEvents
    public static let askers: Set<BusRole> = [.gateway]
    public var tenant: String
    public init(tenant: String) { self.tenant = tenant }
}

// MARK: performance-monitor

/// What a process says of itself every two seconds; one that falls silent is down.
public struct ReportProcess: Command {
    public struct Answer: Codable, Sendable {
        public init() {}
    }
    public static let name = "process.report"
    public static let service = ServiceName.performanceMonitor
    public static let askers: Set<BusRole> = .all
    public var process: ServiceName
    /// Tells replicas apart.
    public var instance: String
    public var pid: Int32
    public var isReady: Bool
    /// Each dependency by name: ready or not.
    public var dependencies: [String: Bool]
    /// Numbers that the monitor adds up: `connections`, `sources.total`, `sources.active`, `http.requests`, `http.seconds`.
    public var gauges: [String: Double]

    public init(
        process: ServiceName, instance: String, pid: Int32, isReady: Bool, dependencies: [String: Bool],
        gauges: [String: Double]
    ) {
        self.process = process
        self.instance = instance
        self.pid = pid
        self.isReady = isReady
        self.dependencies = dependencies
        self.gauges = gauges
    }
}
