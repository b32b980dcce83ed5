// What channels say: contract astro §5.

/// Something happened in a channel: a follow, a tip, a raid, ….
public struct ChannelActivity: EventPayload {
    public static let type: EventType = "channel.activities"
    /// 24 hexadecimal digits.
    public var id: String
    public var kind: String
    public var provider: String
    public var channel: String
    /// `username`, `displayName`, `avatar` and whatever the kind adds.
    public var data: JSON
    public var createdAt: String
    public var updatedAt: String
    public var activityID: String
    /// How many activities the channel had in its session, this one included.
    public var sessionEventsCount: Int

    enum CodingKeys: String, CodingKey {
        case id = "_id"
        case kind = "type"
        case provider, channel, data, createdAt, updatedAt
        case activityID = "activityId"
        case sessionEventsCount
    }

    public init(
        id: String, kind: String, provider: String, channel: String, data: JSON, createdAt: Timestamp,
        updatedAt: Timestamp,
        activityID: String, sessionEventsCount: Int
    ) {
        self.id = id
        self.kind = kind
        self.provider = provider
        self.channel = channel
        self.data = data
        self.createdAt = createdAt.iso8601
        self.updatedAt = updatedAt.iso8601
        self.activityID = activityID
        self.sessionEventsCount = sessionEventsCount
    }
}

/// Whether at least one of the channel's streams is live.
public struct ChannelStreamStatus: EventPayload {
    public static let type: EventType = "channel.stream.status"
    public var isLive: Bool

    public init(isLive: Bool) { self.isLive = isLive }
}
