public import Events
internal import NIOConcurrencyHelpers

/// A table's daily partitions: made before they are written to, and dropped when all that they hold is old enough. The table is
/// partitioned by range of a moment, and has no default partition.
public final class DailyPartitions: Sendable {
    private let writer: EventWriter
    private let table: String
    private let retention: Duration
    private let known = NIOLockedValueBox<Set<Int64>>([])

    /// - Parameter table: a name of ours, in the writer's schema.
    public init(_ table: String, writer: EventWriter, retention: Duration) {
        self.table = table
        self.writer = writer
        self.retention = retention
    }

    /// Makes the partition of a moment, and the next day's, if they are not there.
    public func ensure(_ moment: Timestamp) async throws {
        let day = LogPartitions.day(of: moment)
        if self.known.withLockedValue({ $0.contains(day) }) { return }
        let table = self.table
        try await self.writer.write { mutation in
            for day in [day, day + 1] {
                let (date, next) = (TimestampText.date(ofDay: day), TimestampText.date(ofDay: day + 1))
                _ = try await mutation.query(
                    """
                    CREATE TABLE IF NOT EXISTS \(unescaped: Self.name(table, date)) PARTITION OF \(unescaped: table)
                    FOR VALUES FROM ('\(unescaped: date) 00:00:00+00') TO ('\(unescaped: next) 00:00:00+00')
                    """)
            }
        }
        _ = self.known.withLockedValue { $0.insert(day) }
    }

    /// Drops what is older than the retention.
    public func dropOld(now: Timestamp = .now) async throws {
        let oldest = now - self.retention
        let table = self.table
        let limit = Self.name(table, TimestampText.date(ofDay: LogPartitions.day(of: oldest)))
        try await self.writer.write { mutation in
            let rows = try await mutation.query(
                """
                SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = to_regclass(\(table))
                """)
            for row in rows {
                let name = try row.decode("name", as: String.self)
                guard name.hasPrefix("\(table)_"), name < limit else { continue }
                // A reader holds a partition for as long as it reads; better to come back than to make everyone queue behind us.
                _ = try await mutation.query("SET LOCAL lock_timeout TO 2000")
                _ = try await mutation.query("DROP TABLE \(unescaped: name)")
                _ = try await mutation.query("SET LOCAL lock_timeout TO DEFAULT")
            }
        }
    }

    private static func name(_ table: String, _ date: String) -> String { "\(table)_\(date.filter { $0 != "-" })" }
}
