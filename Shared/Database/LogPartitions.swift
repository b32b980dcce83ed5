internal import Events

/// The event log's daily partitions, as its writer makes and drops them.
struct LogPartitions {
    private var known: Set<Int64> = []

    private static let prefix = "event_log_"

    static func day(of moment: Timestamp) -> Int64 { moment.milliseconds / 86_400_000 }

    /// Forgets what was made in a transaction that did not commit.
    mutating func forget() { self.known = [] }

    mutating func ensure(_ day: Int64, on connection: Connection) async throws(DatabaseError) {
        if self.known.contains(day) { return }
        let (date, next) = (TimestampText.date(ofDay: day), TimestampText.date(ofDay: day + 1))
        try await connection.execute(
            """
            CREATE TABLE IF NOT EXISTS \(Self.name(of: date)) PARTITION OF event_log
            FOR VALUES FROM ('\(date) 00:00:00+00') TO ('\(next) 00:00:00+00')
            """)
        self.known.insert(day)
    }

    /// Drops every partition that holds only events written before `moment`.
    mutating func drop(before moment: Timestamp, on connection: Connection) async throws(DatabaseError) -> Int {
        let rows = try await connection.run(
            "SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'event_log'::regclass"
        )
        let limit = Self.name(of: TimestampText.date(ofDay: Self.day(of: moment)))
        var dropped = 0
        for row in rows {
            let name = try row.decode("name", as: String.self)
            guard name.hasPrefix(Self.prefix), name < limit else { continue }
            // A reader holds a partition for as long as it reads; better to come back than to make everyone queue behind us.
            try await connection.execute("SET LOCAL lock_timeout TO 2000; DROP TABLE \(name)")
            dropped += 1
        }
        if dropped > 0 { self.forget() }
        return dropped
    }

    private static func name(of date: String) -> String { Self.prefix + date.filter { $0 != "-" } }
}
