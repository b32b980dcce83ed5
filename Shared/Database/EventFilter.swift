public import Events

/// Selects events of one tenant. What is `nil` or empty does not restrict.
public struct EventFilter: Sendable, Hashable {
    public var tenant: String
    public var types: [EventType]
    public var room: String?
    /// Events of this moment or later.
    public var from: Timestamp?
    /// Events before this moment.
    public var to: Timestamp?
    /// Events with a higher `seq`: the cursor of the last page.
    public var after: UInt64
    /// From 1 to `EventLog.pageMax`.
    public var limit: Int

    public init(
        tenant: String, types: [EventType] = [], room: String? = nil, from: Timestamp? = nil, to: Timestamp? = nil,
        after: UInt64 = 0, limit: Int = 100
    ) {
        self.tenant = tenant
        self.types = types
        self.room = room
        self.from = from
        self.to = to
        self.after = after
        self.limit = min(max(1, limit), EventLog.pageMax)
    }

    /// What is to be true of an event of the tenant.
    var condition: Query {
        var condition: Query = "true"
        if !self.types.isEmpty { condition += " AND type = ANY(\(self.types.map(\.name)))" }
        if let room { condition += " AND room = \(room)" }
        if let from { condition += " AND time >= \(from)" }
        if let to { condition += " AND time < \(to)" }
        return condition
    }
}
