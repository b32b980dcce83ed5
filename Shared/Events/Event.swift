/// Something that happened, or a measurement, as it travels from its publisher to clients (docs/architecture.md).
public struct Event: Sendable, Hashable {
    public var id: ULID
    public var type: EventType
    /// The organisation or channel that owns the thing.
    public var tenant: String
    /// The entity that a filter may ask for (stream, station, camera, …); empty if none.
    public var room: String
    /// Where it stands in its publisher's log; `nil` for transient events.
    public var position: Position?
    public var publisher: ServiceName
    public var time: Timestamp
    /// One JSON object in UTF-8, encoded once by the publisher and never decoded on the way.
    public var data: [UInt8]

    public init(
        id: ULID, type: EventType, tenant: String, room: String, position: Position? = nil, publisher: ServiceName,
        time: Timestamp, data: [UInt8]
    ) {
        self.id = id
        self.type = type
        self.tenant = tenant
        self.room = room
        self.position = position
        self.publisher = publisher
        self.time = time
        self.data = data
    }
}

/// A place in one publisher's durable log. Places of the same epoch and term can be compared by `seq`; about any other pair only the
/// log knows.
public struct Position: Sendable, Hashable, Codable {
    /// Identifies the log; a new one is drawn when a log is created.
    public var epoch: UInt64
    /// The writer's term: each activation of a writer begins a new one, with a number that no earlier activation had. The log keeps
    /// the first `seq` of each, so that it can tell a reader who stands on numbers that were lost (a failover, a restore).
    public var term: UInt64
    /// Gapless, from 1.
    public var seq: UInt64

    public init(epoch: UInt64, term: UInt64, seq: UInt64) {
        self.epoch = epoch
        self.term = term
        self.seq = seq
    }

    /// Whether both were read from the log while the same writer was active.
    public func isSameTerm(as other: Position) -> Bool { self.epoch == other.epoch && self.term == other.term }
}

/// `domain.what`, for example `radio.now_playing`.
public struct EventType: Sendable, Hashable, Codable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let name: String

    public init(_ name: String) { self.name = name }
    public init(stringLiteral name: String) { self.name = name }

    /// What stands before the first dot.
    public var domain: Substring { self.name.prefix { $0 != "." } }

    public var description: String { self.name }

    public init(from decoder: any Decoder) throws { self.name = try decoder.singleValueContainer().decode(String.self) }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.name)
    }
}

public enum Durability: Sendable, Hashable {
    /// Logged with the change that caused it, numbered, replayed after a gap.
    case durable
    /// Telemetry: a newer one may replace an older one anywhere on the way.
    case transient
}

/// The executables, by the names that the bus, the logs and the configuration use.
public enum ServiceName: String, Sendable, Hashable, Codable, CaseIterable {
    case gateway
    case auth
    case obsBridge = "obs-bridge"
    case streamMetrics = "stream-metrics"
    case radioPlayout = "radio-playout"
    case cameraEvents = "camera-events"
    case performanceMonitor = "performance-monitor"

    /// Those that bind a publisher; a gateway binds nothing.
    public static let publishers: [ServiceName] = Self.allCases.filter { $0 != .gateway }
}
