import Database
import Events

/// The audit log's monthly partitions: made ahead, and dropped when all that they hold is old enough.
struct AuditPartitions {
    /// A month of the Gregorian calendar, in UTC.
    struct Month: Hashable, Comparable {
        /// Months since the year 0.
        let number: Int

        init(year: Int, month: Int) { self.number = year * 12 + month - 1 }

        init(of moment: Timestamp) {
            // `2026-11-21T…`
            let parts = moment.iso8601.split(separator: "-").prefix(2).compactMap { Int($0) }
            self.init(year: parts.first ?? 0, month: parts.last ?? 1)
        }

        private init(number: Int) { self.number = number }

        /// The one that a table holds.
        init?(table: String) {
            let digits = table.dropFirst(Self.prefix.count)
            guard table.hasPrefix(Self.prefix), digits.count == 6, let number = Int(digits) else { return nil }
            self.init(year: number / 100, month: number % 100)
        }

        var next: Month { Month(number: self.number + 1) }
        var table: String { Self.prefix + self.start.filter { $0 != "-" }.prefix(6) }
        /// Its first day.
        var start: String {
            let (year, month) = (self.number / 12, self.number % 12 + 1)
            return "\(String("000\(year)".suffix(4)))-\(month < 10 ? "0" : "")\(month)-01"
        }

        private static let prefix = "audit_"

        static func < (left: Month, right: Month) -> Bool { left.number < right.number }
    }

    let writer: EventWriter
    let retention: Duration

    /// Makes this month's and the next one's, and drops what is older than the retention.
    func maintain() async throws {
        let now = Timestamp.now
        let oldest = now - self.retention
        try await self.writer.write { mutation in
            let known = try await Self.known(mutation)
            for month in [Month(of: now), Month(of: now).next] where !known.contains(month) {
                try await Self.make(month, mutation)
            }
            for month in known where month < Month(of: oldest) {
                // A reader holds a partition for as long as it reads; better to come back than to make everyone queue behind us.
                _ = try await mutation.query("SET LOCAL lock_timeout TO 2000")
                _ = try await mutation.query("DROP TABLE \(unescaped: month.table)")
                _ = try await mutation.query("SET LOCAL lock_timeout TO DEFAULT")
            }
            _ = try await mutation.query("DELETE FROM audit_default WHERE time < \(oldest)")
        }
    }

    private static func known(_ mutation: Mutation) async throws -> Set<Month> {
        let rows = try await mutation.query(
            """
            SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'audit'::regclass
            """)
        return Set(try rows.compactMap { Month(table: try $0.decode("name")) })
    }

    /// What came before the partition lies in the default one, and Postgres takes no partition whose rows lie there.
    private static func make(_ month: Month, _ mutation: Mutation) async throws {
        let (table, start) = (month.table, "'\(month.start) 00:00:00+00'")
        let end = "'\(month.next.start) 00:00:00+00'"
        _ = try await mutation.query("CREATE TABLE \(unescaped: table) (LIKE audit INCLUDING ALL)")
        _ = try await mutation.query(
            """
            WITH moved AS (
                DELETE FROM audit_default WHERE time >= \(unescaped: start) AND time < \(unescaped: end) RETURNING *
            ) INSERT INTO \(unescaped: table) SELECT * FROM moved
            """)
        _ = try await mutation.query(
            """
            ALTER TABLE audit ATTACH PARTITION \(unescaped: table) FOR VALUES FROM (\(unescaped: start)) TO (\(unescaped: end))
            """)
    }
}
