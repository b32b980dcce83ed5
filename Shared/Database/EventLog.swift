public import Events

/// A service's durable events, for reading: replays and `GET /v1/events`. `EventWriter` writes them.
public struct EventLog: Sendable {
    private let database: Database
    private let publisher: ServiceName

    public static let pageMax = 1000
    /// A page that has reached so many bytes of data ends there: what a client may put into one event is not little.
    public static let pageBytesMax = 8 << 20
    /// How far an event's time may be ahead of the moment at which it is written. The writer takes a later one back to this.
    static let timeLeadMax = Duration.seconds(60)

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
                """),
        // Each activation of a writer: the history of the log by which a reader of a lost tail is found.
        Migration(
            name: "event-log-0002",
            sql: """
                ALTER TABLE event_head ADD COLUMN term bigint NOT NULL DEFAULT 0;
                CREATE TABLE event_terms (
                    term bigint PRIMARY KEY,
                    epoch bigint NOT NULL,
                    first bigint NOT NULL,
                    began timestamptz NOT NULL
                );
                """),
        // For searches within a tenant, and for those that begin at a moment.
        Migration(
            name: "event-log-0003",
            sql: """
                DROP INDEX event_log_type_time;
                CREATE INDEX event_log_tenant_seq ON event_log (tenant, seq);
                """),
        // Apart: each has the time that a migration may take.
        Migration(
            name: "event-log-0004",
            sql: """
                CREATE INDEX event_log_logged_seq ON event_log (logged, seq);
                """),
    ]

    /// Some of the events that a filter selects, in order.
    public struct Page: Sendable, Hashable {
        public var events: [Event]
        /// The `seq` to go on from, also if the page is short or empty: a page examines a bounded part of the log. `nil`: nothing
        /// follows yet.
        public var next: UInt64?
    }

    /// Returns the first of the events that match: from among the tenant's next `LogStatement.searchMax`, and no more than end in
    /// `pageBytesMax`.
    public func page(matching filter: EventFilter) async throws(DatabaseError) -> Page {
        var filter = filter
        if let from = filter.from {
            // An event is written after it happened, but for a clock that is ahead.
            guard let first = try await self.firstSeq(loggedSince: from - Self.timeLeadMax) else {
                return Page(events: [], next: nil)
            }
            filter.after = max(filter.after, max(1, first) - 1)
        }
        let rows = try await self.rows(of: .search(filter))
        var page = Page(events: [], next: nil)
        var bytes = 0
        for row in rows {
            let event = try self.event(row)
            bytes += event.data.count
            if try row.decode("is_match", as: Bool.self) { page.events.append(event) }
            let isEnd = try row.decode("is_end", as: Bool.self)
            // More may follow the last row.
            if isEnd || rows.count == filter.limit || bytes >= Self.pageBytesMax { page.next = event.position?.seq }
        }
        return page
    }

    private func firstSeq(loggedSince moment: Timestamp) async throws(DatabaseError) -> UInt64? {
        try await self.rows(of: .firstSeq(loggedSince: moment)).first
            .map { row throws(DatabaseError) in UInt64(bitPattern: try row.decode("seq", as: Int64.self)) }
    }

    func rows(of statement: LogStatement) async throws(DatabaseError) -> [Row] {
        try await self.database.query(statement.query)
    }

    /// The log's end; `nil` before its first writer.
    public func head() async throws(DatabaseError) -> Position? {
        let rows = try await self.database.query("SELECT epoch, term, seq FROM event_head")
        guard let row = rows.first else { return nil }
        return try Position(row)
    }

    /// Columns as of `event_log`, and those of its position.
    func event(_ row: Row) throws(DatabaseError) -> Event {
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
    /// Columns `epoch`, `term` and `seq`.
    init(_ row: Row) throws(DatabaseError) {
        self.init(
            epoch: UInt64(bitPattern: try row.decode("epoch", as: Int64.self)),
            term: UInt64(bitPattern: try row.decode("term", as: Int64.self)),
            seq: UInt64(bitPattern: try row.decode("seq", as: Int64.self)))
    }
}
