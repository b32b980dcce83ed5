// What streams say: contract wave §4. Moments are ISO 8601 with milliseconds, durations whole seconds.

/// A stream goes live.
public struct StreamStarted: EventPayload {
    public static let type: EventType = "stream.started"
    public var streamID: String
    public var startedAt: String
    public var `protocol`: String
    /// Where its media comes in; `nil`: nothing is configured for that protocol.
    public var ingestEndpoint: String?

    enum CodingKeys: String, CodingKey {
        case streamID = "stream_id"
        case startedAt = "started_at"
        case `protocol`
        case ingestEndpoint = "ingest_endpoint"
    }

    public init(streamID: String, startedAt: Timestamp, protocol: String, ingestEndpoint: String?) {
        self.streamID = streamID
        self.startedAt = startedAt.iso8601
        self.protocol = `protocol`
        self.ingestEndpoint = ingestEndpoint
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.streamID, forKey: .streamID)
        try container.encode(self.startedAt, forKey: .startedAt)
        try container.encode(self.protocol, forKey: .protocol)
        try container.encode(self.ingestEndpoint, forKey: .ingestEndpoint)
    }
}

/// A stream stops.
public struct StreamEnded: EventPayload {
    public static let type: EventType = "stream.ended"
    public var streamID: String
    public var endedAt: String
    public var duration: Int64
    public var recordingID: String?

    enum CodingKeys: String, CodingKey {
        case streamID = "stream_id"
        case endedAt = "ended_at"
        case duration
        case recordingID = "recording_id"
    }

    public init(streamID: String, endedAt: Timestamp, duration: Duration, recordingID: String?) {
        self.streamID = streamID
        self.endedAt = endedAt.iso8601
        self.duration = max(0, duration.components.seconds)
        self.recordingID = recordingID
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.streamID, forKey: .streamID)
        try container.encode(self.endedAt, forKey: .endedAt)
        try container.encode(self.duration, forKey: .duration)
        try container.encode(self.recordingID, forKey: .recordingID)
    }
}

/// How a live stream fares, every five seconds.
public struct StreamHealth: EventPayload, Hashable {
    public static let type: EventType = "stream.health"
    public var streamID: String
    /// In kbit/s since the last one; `nil`: not known yet.
    public var bitrate: Double?
    public var fps: Double?
    /// The part of the frames that the encoder left out since the last one, 0 to 1.
    public var packetLoss: Double?
    /// In milliseconds; `nil`: nobody measures it.
    public var latency: Double?

    enum CodingKeys: String, CodingKey {
        case streamID = "stream_id"
        case bitrate, fps
        case packetLoss = "packet_loss"
        case latency
    }

    public init(streamID: String, bitrate: Double?, fps: Double?, packetLoss: Double?, latency: Double?) {
        self.streamID = streamID
        self.bitrate = bitrate
        self.fps = fps
        self.packetLoss = packetLoss
        self.latency = latency
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.streamID, forKey: .streamID)
        try container.encode(self.bitrate, forKey: .bitrate)
        try container.encode(self.fps, forKey: .fps)
        try container.encode(self.packetLoss, forKey: .packetLoss)
        try container.encode(self.latency, forKey: .latency)
    }
}

/// Someone begins to watch.
public struct ViewerJoined: EventPayload {
    public static let type: EventType = "viewer.joined"
    public var streamID: String
    public var viewerID: String
    /// ISO 3166 alpha-2; `nil`: not known.
    public var country: String?
    public var device: String
    public var joinedAt: String

    enum CodingKeys: String, CodingKey {
        case streamID = "stream_id"
        case viewerID = "viewer_id"
        case country, device
        case joinedAt = "joined_at"
    }

    public init(streamID: String, viewerID: String, country: String?, device: String, joinedAt: Timestamp) {
        self.streamID = streamID
        self.viewerID = viewerID
        self.country = country
        self.device = device
        self.joinedAt = joinedAt.iso8601
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.streamID, forKey: .streamID)
        try container.encode(self.viewerID, forKey: .viewerID)
        try container.encode(self.country, forKey: .country)
        try container.encode(self.device, forKey: .device)
        try container.encode(self.joinedAt, forKey: .joinedAt)
    }
}

/// Someone stops watching.
public struct ViewerLeft: EventPayload {
    public static let type: EventType = "viewer.left"
    public var streamID: String
    public var viewerID: String
    public var watchTime: Int64
    public var leftAt: String

    enum CodingKeys: String, CodingKey {
        case streamID = "stream_id"
        case viewerID = "viewer_id"
        case watchTime = "watch_time"
        case leftAt = "left_at"
    }

    public init(streamID: String, viewerID: String, watchTime: Duration, leftAt: Timestamp) {
        self.streamID = streamID
        self.viewerID = viewerID
        self.watchTime = max(0, watchTime.components.seconds)
        self.leftAt = leftAt.iso8601
    }
}

/// How many watch a live stream, every ten seconds.
public struct AnalyticsUpdate: EventPayload, Hashable {
    public static let type: EventType = "analytics.update"
    public var streamID: String
    public var concurrentViewers: Int
    /// Since it went live.
    public var totalViews: Int64
    public var peakViewers: Int
    /// In seconds, of all who watched or still do.
    public var averageWatchTime: Double

    enum CodingKeys: String, CodingKey {
        case streamID = "stream_id"
        case concurrentViewers = "concurrent_viewers"
        case totalViews = "total_views"
        case peakViewers = "peak_viewers"
        case averageWatchTime = "average_watch_time"
    }

    public init(
        streamID: String, concurrentViewers: Int, totalViews: Int64, peakViewers: Int, averageWatchTime: Double
    ) {
        self.streamID = streamID
        self.concurrentViewers = concurrentViewers
        self.totalViews = totalViews
        self.peakViewers = peakViewers
        self.averageWatchTime = averageWatchTime
    }
}

/// A chat line, stored.
public struct ChatMessage: EventPayload {
    public static let type: EventType = "chat.message"
    public var streamID: String
    public var messageID: String
    public var userID: String
    public var username: String
    public var message: String
    public var timestamp: String

    enum CodingKeys: String, CodingKey {
        case streamID = "stream_id"
        case messageID = "message_id"
        case userID = "user_id"
        case username, message, timestamp
    }

    public init(
        streamID: String, messageID: String, userID: String, username: String, message: String, timestamp: Timestamp
    ) {
        self.streamID = streamID
        self.messageID = messageID
        self.userID = userID
        self.username = username
        self.message = message
        self.timestamp = timestamp.iso8601
    }
}

/// An emoji was sent: how often since the stream went live.
public struct ReactionReceived: EventPayload {
    public static let type: EventType = "reaction.received"
    public var streamID: String
    public var reaction: String
    public var count: Int
    public var timestamp: String

    enum CodingKeys: String, CodingKey {
        case streamID = "stream_id"
        case reaction, count, timestamp
    }

    public init(streamID: String, reaction: String, count: Int, timestamp: Timestamp) {
        self.streamID = streamID
        self.reaction = reaction
        self.count = count
        self.timestamp = timestamp.iso8601
    }
}
