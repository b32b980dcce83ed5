public import Events

/// Which events of a log to read. What is `nil` or empty does not restrict.
public struct EventFilter: Sendable, Hashable {
    public var tenant: String?
    public var types: [EventType]
    /// What stands before a type's first dot.
    public var domain: String?
    public var room: String?
    /// Events of this moment or later.
    public var from: Timestamp?
    /// Events before this moment.
    public var to: Timestamp?
    /// Events with a higher `seq`: the cursor of the last page.
    public var after: UInt64
    /// At most `EventLog.pageMax`.
    public var limit: Int

    public init(
        tenant: String? = nil, types: [EventType] = [], domain: String? = nil, room: String? = nil,
        from: Timestamp? = nil,
        to: Timestamp? = nil, after: UInt64 = 0, limit: Int = 100
    ) {
        self.tenant = tenant
        self.types = types
        self.domain = domain
        self.room = room
        self.from = from
        self.to = to
        self.after = after
        self.limit = limit
    }

    var condition: Query {
        var condition: Query = "seq > \(Int64(clamping: self.after))"
        if let tenant { condition += " AND tenant = \(tenant)" }
        if !self.types.isEmpty { condition += " AND type = ANY(\(self.types.map(\.name)))" }
        if let domain { condition += " AND split_part(type, '.', 1) = \(domain)" }
        if let room { condition += " AND room = \(room)" }
        if let from { condition += " AND time >= \(from)" }
        if let to { condition += " AND time < \(to)" }
        return condition
    }
}
