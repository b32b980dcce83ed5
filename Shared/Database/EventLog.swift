public import Events

/// A service's durable events, for reading: replays and `GET /v1/events`. `EventWriter` writes them.
public struct EventLog: Sendable {
    private let database: Database
    private let publisher: ServiceName

    public static let pageMax = 1000
    /// A page that has reached so many bytes of data ends there: what a client may put into one event is not little.
    public static let pageBytesMax = 8 << 20

    public init(_ database: Database, publisher: ServiceName) {
        self.database = database
        self.publisher = publisher
    }

    /// For the `Database` of every service that publishes, before its own.
    ///
    /// The log is partitioned by the moment of writing, not by the events' own: partitions then hold runs of `seq`, so that
    /// retention takes the oldest and never makes a hole, and an event with a wrong clock cannot ask for a partition of its own.
    public static let migrations: [Migration] = [
        Migration(
            name: "event-log-0001",
            sql: """
                CREATE TABLE event_head (
                    one boolean PRIMARY KEY DEFAULT true CHECK (one),
                    epoch bigint NOT NULL,
                    seq bigint NOT NULL
                ) WITH (fillfactor = 10);
                CREATE TABLE event_log (
                    seq bigint NOT NULL,
                    id text NOT NULL,
                    type text NOT NULL,
                    tenant text NOT NULL,
                    room text NOT NULL,
                    time timestamptz NOT NULL,
                    logged timestamptz NOT NULL,
                    data text NOT NULL
                ) PARTITION BY RANGE (logged);
                CREATE INDEX event_log_seq ON event_log (seq);
                CREATE INDEX event_log_type_time ON event_log (type, time);
                """)
    ]

    /// Events in order, with their positions: those after `seq`, and of `since` or later if given.
    public func events(after seq: UInt64, since: Timestamp? = nil, limit: Int) async throws(DatabaseError) -> [Event] {
        try await self.events(matching: EventFilter(from: since, after: seq, limit: limit))
    }

    /// At most `pageMax` of them, and no more than end in `pageBytesMax`.
    public func events(matching filter: EventFilter) async throws(DatabaseError) -> [Event] {
        let rows = try await self.database.query(
            """
            SELECT (SELECT epoch FROM event_head) AS epoch, seq, id, type, tenant, room, time, data
            FROM (
                SELECT *, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS bytes_before
                FROM (
                    SELECT * FROM event_log WHERE \(filter.condition)
                    ORDER BY seq LIMIT \(min(max(0, filter.limit), Self.pageMax))
                ) AS found
            ) AS page WHERE bytes_before < \(Self.pageBytesMax) ORDER BY seq
            """)
        var events: [Event] = []
        for row in rows { events.append(try self.event(row)) }
        return events
    }

    /// The first `seq` that is still there; `nil` when the log is empty.
    public func oldestSeq() async throws(DatabaseError) -> UInt64? {
        let rows = try await self.database.query("SELECT min(seq) AS seq FROM event_log")
        return try rows.first?.decode("seq", as: Int64?.self).map { UInt64(bitPattern: $0) }
    }

    /// The log's epoch and end; `nil` before its first writer.
    public func head() async throws(DatabaseError) -> Position? {
        let rows = try await self.database.query("SELECT epoch, seq FROM event_head")
        guard let row = rows.first else { return nil }
        return try Position(row)
    }

    private func event(_ row: Row) throws(DatabaseError) -> Event {
        guard let id = ULID(text: try row.decode("id", as: String.self)) else {
            throw .decoding("column id is not a ULID")
        }
        return Event(
            id: id, type: EventType(try row.decode("type")), tenant: try row.decode("tenant"),
            room: try row.decode("room"),
            position: try Position(row), publisher: self.publisher, time: try row.decode("time"),
            data: try row.decode("data"))
    }
}

extension Position {
    /// Columns `epoch` and `seq`.
    init(_ row: Row) throws(DatabaseError) {
        self.init(
            epoch: UInt64(bitPattern: try row.decode("epoch", as: Int64.self)),
            seq: UInt64(bitPattern: try row.decode("seq", as: Int64.self)))
    }
}
