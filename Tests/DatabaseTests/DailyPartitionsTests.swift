import Database
import Events
import TestSupport
import Testing

@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct DailyPartitionsTests {
    private static let noon = Timestamp(milliseconds: 1_763_726_400_000)  // 2025-11-21T12:00:00Z
    private static let day = Duration.seconds(86_400)

    private static let migrations =
        EventLog.migrations + [
            Migration(
                name: "sample",
                sql: """
                    CREATE TABLE sample (value int, time timestamptz NOT NULL) PARTITION BY RANGE (time);
                    CREATE TABLE sample_note (time timestamptz)
                    """)
        ]

    private static func withWriter(_ body: @Sendable (Database, EventWriter) async throws -> Void) async throws {
        try await withDatabase(migrations: Self.migrations) { database in
            let writer = EventWriter(database: database, publisher: .obsBridge, logger: quiet) { _ in }
            try await running([{ try await writer.run() }]) {
                try await eventually("active") { writer.isActive }
                try await body(database, writer)
            }
        }
    }

    /// The partitions that there are, by name.
    private static func partitions(_ database: Database) async throws -> [String] {
        try await database.query(
            """
            SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = 'sample'::regclass ORDER BY 1
            """
        ).map { row throws(DatabaseError) in try row.decode("name") }
    }

    private static func add(_ value: Int, at moment: Timestamp, _ writer: EventWriter) async throws {
        try await writer.write { mutation in
            _ = try await mutation.query("INSERT INTO sample (value, time) VALUES (\(value), \(moment))")
        }
    }

    private static func values(_ database: Database) async throws -> [Int] {
        try await database.query("SELECT value FROM sample ORDER BY value")
            .map { row throws(DatabaseError) in try row.decode("value") }
    }

    @Test func `a day and the next one are made, once, and hold what is written`() async throws {
        try await Self.withWriter { database, writer in
            let partitions = DailyPartitions("sample", writer: writer, retention: Self.day * 7)
            await #expect(throws: DatabaseError.self) { try await Self.add(0, at: Self.noon, writer) }
            for _ in 0..<2 { try await partitions.ensure(Self.noon) }
            // As another process would, and as it will tomorrow.
            try await DailyPartitions("sample", writer: writer, retention: Self.day).ensure(Self.noon)
            #expect(try await Self.partitions(database) == ["sample_20251121", "sample_20251122"])
            let moments = ["2025-11-21T00:00:00.000Z", "2025-11-21T23:59:59.999Z", "2025-11-22T23:59:59.999Z"]
            for (value, moment) in moments.enumerated() {
                try await Self.add(value, at: try #require(Timestamp(iso8601: moment)), writer)
            }
            #expect(try await Self.values(database) == [0, 1, 2])
            await #expect(throws: DatabaseError.self) { try await Self.add(3, at: Self.noon + Self.day * 2, writer) }
            try await partitions.ensure(Self.noon + Self.day)
            #expect(
                try await Self.partitions(database) == ["sample_20251121", "sample_20251122", "sample_20251123"])
        }
    }

    @Test func `a month's and a year's end are days as others`() async throws {
        try await Self.withWriter { database, writer in
            let partitions = DailyPartitions("sample", writer: writer, retention: Self.day)
            let eve = try #require(Timestamp(iso8601: "2027-12-31T23:59:59.999Z"))
            try await partitions.ensure(eve)
            try await Self.add(1, at: eve, writer)
            try await Self.add(2, at: eve + .milliseconds(1), writer)
            #expect(try await Self.partitions(database) == ["sample_20271231", "sample_20280101"])
        }
    }

    @Test func `only what is old as a whole is dropped`() async throws {
        try await Self.withWriter { database, writer in
            let partitions = DailyPartitions("sample", writer: writer, retention: Self.day * 7)
            for days in 0...10 {
                let moment = Self.noon + Self.day * days
                try await partitions.ensure(moment)
                try await Self.add(days, at: moment, writer)
            }
            // What is there for another reason.
            try await writer.write { mutation in
                _ = try await mutation.query("CREATE TABLE sample_20200101 (id int)")
                _ = try await mutation.query(
                    "CREATE TABLE archive PARTITION OF sample FOR VALUES FROM ('2001-01-01') TO ('2002-01-01')")
            }
            try await partitions.dropOld(now: Self.noon + Self.day * 9)
            #expect(try await Self.values(database) == Array(2...10))
            #expect(try await Self.partitions(database).prefix(2) == ["archive", "sample_20251123"])
            #expect(try await Self.partitions(database).count == 11)
            for table in ["sample_note", "sample_20200101"] {
                #expect(try await database.query("SELECT * FROM \(unescaped: table)").isEmpty)
            }
            // Nothing is old now.
            try await partitions.dropOld(now: Self.noon + Self.day * 9)
            #expect(try await Self.values(database) == Array(2...10))
            try await partitions.dropOld(now: Self.noon + Self.day * 100)
            #expect(try await Self.partitions(database) == ["archive"])
        }
    }

    @Test func `a day that could not be made is tried again`() async throws {
        try await Self.withWriter { database, writer in
            let partitions = DailyPartitions("sample", writer: writer, retention: Self.day)
            try await writer.write { _ = try await $0.query("ALTER TABLE sample RENAME TO hidden") }
            await #expect(throws: DatabaseError.self) { try await partitions.ensure(Self.noon) }
            try await writer.write { _ = try await $0.query("ALTER TABLE hidden RENAME TO sample") }
            try await partitions.ensure(Self.noon)
            try await Self.add(1, at: Self.noon, writer)
            #expect(try await Self.values(database) == [1])
        }
    }
}
