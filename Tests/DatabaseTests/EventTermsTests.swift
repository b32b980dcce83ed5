import Events
import TestSupport
import Testing

@testable import Database

/// Writers' terms, and where a follower goes on who knows the log from an earlier one.
@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct EventTermsTests {
    private static func writer(
        of database: Database, _ active: Collected<Position> = Collected(), _ published: Collected<Event> = Collected()
    ) -> EventWriter {
        EventWriter(
            database: database, publisher: .radioPlayout, logger: quiet, whenActive: { await active.add([$0]) }
        ) { await published.add($0) }
    }

    private static func write(_ count: Int, _ writer: EventWriter) async throws {
        for _ in 0..<count {
            try await writer.write { mutation in
                mutation.emit(
                    Event(
                        id: ULID(), type: "radio.now_playing", tenant: "default", room: "", publisher: .radioPlayout,
                        time: .now, data: Array("{}".utf8)))
            }
        }
    }

    /// Runs a writer until the body is done; it is active before.
    private static func run(_ writer: EventWriter, _ body: @Sendable () async throws -> Void) async throws {
        try await running([{ try await writer.run() }]) {
            try await eventually("active") { writer.isActive }
            try await body()
        }
    }

    private static func page(
        _ database: Database, after position: Position?, ago: Duration = .zero, limit: Int = 500
    ) async throws -> ReplayPage {
        try await EventLog(database, publisher: .radioPlayout).page(
            for: ReplayRequest(after: position, ago: ago.milliseconds, limit: limit))
    }

    /// A log of 100 numbers, in epoch 7 and three terms: 10 from 1 on, 20 from 41 on, 30 from 81 on. The events are gone.
    private static func withTerms(_ body: @Sendable (Database) async throws -> Void) async throws {
        try await withDatabase(migrations: EventLog.migrations) { database in
            _ = try await database.query("INSERT INTO event_head (epoch, term, seq) VALUES (7, 30, 100)")
            _ = try await database.query(
                "INSERT INTO event_terms VALUES (10, 7, 1, now()), (20, 7, 41, now()), (30, 7, 81, now())")
            try await body(database)
        }
    }

    /// The same with its events: all are of a minute ago, but the last ten of now.
    private static func withLog(_ body: @Sendable (Database) async throws -> Void) async throws {
        try await Self.withTerms { database in
            _ = try await database.query(
                "CREATE TABLE event_log_all PARTITION OF event_log FOR VALUES FROM (MINVALUE) TO (MAXVALUE)")
            _ = try await database.query(
                """
                INSERT INTO event_log
                SELECT seq, \(ULID().text), 'radio.now_playing', 'default', '', now(),
                    now() - CASE WHEN seq > 90 THEN interval '0' ELSE interval '1 minute' END, '{}'
                FROM generate_series(1, 100) AS seq
                """)
            try await body(database)
        }
    }

    /// Positions that a page continues from, and the number that it then begins behind.
    private static let continuations: [(Position, UInt64)] = [
        // In the current term; at its end; beyond it (a log that was set back by hand).
        (Position(epoch: 7, term: 30, seq: 85), 85), (Position(epoch: 7, term: 30, seq: 100), 100),
        (Position(epoch: 7, term: 30, seq: 103), 100),
        // In an earlier one, also if its pages told of still earlier numbers.
        (Position(epoch: 7, term: 20, seq: 60), 60), (Position(epoch: 7, term: 20, seq: 5), 5),
        (Position(epoch: 7, term: 10, seq: 0), 0),
        // On numbers that an earlier writer gave and that were lost.
        (Position(epoch: 7, term: 20, seq: 95), 80), (Position(epoch: 7, term: 10, seq: 95), 40),
        (Position(epoch: 7, term: 10, seq: .max), 40),
    ]

    @Test func `each activation begins a term, says so before its first event, and numbers on`() async throws {
        try await withDatabase(migrations: EventLog.migrations) { database in
            let (active, published) = (Collected<Position>(), Collected<Event>())
            let start = Timestamp.now
            for _ in 0..<3 {
                let writer = Self.writer(of: database, active, published)
                try await Self.run(writer) {
                    #expect(await active.items.last == writer.head)
                    try await Self.write(2, writer)
                }
            }
            let heads = await active.items
            #expect(heads.map(\.seq) == [0, 2, 4])
            #expect(heads.map(\.term) == Set(heads.map(\.term)).sorted())
            #expect(Set(heads.map(\.epoch)).count == 1)
            // Not lower than the clock: a number that a restore took away never comes again.
            #expect(heads.allSatisfy { $0.term >= UInt64(start.milliseconds) })
            let events = await published.items.compactMap(\.position)
            #expect(events.map(\.seq) == Array(1...6))
            #expect(events.map(\.term) == heads.flatMap { [$0.term, $0.term] })
            let rows = try await database.query("SELECT term, first FROM event_terms ORDER BY term")
            #expect(try rows.map { try $0.decode("first", as: Int.self) } == [1, 3, 5])
            #expect(try rows.map { try $0.decode("term", as: Int.self) } == heads.map { Int($0.term) })
        }
    }

    @Test func `a term is higher than all that the log knows, whatever the clock says`() async throws {
        try await withDatabase(migrations: EventLog.migrations) { database in
            let later = Timestamp.now.milliseconds + 1_000_000
            _ = try await database.query("INSERT INTO event_head (epoch, term, seq) VALUES (7, \(later), 3)")
            _ = try await database.query("INSERT INTO event_terms VALUES (\(later + 5), 7, 2, now())")
            let writer = Self.writer(of: database)
            try await Self.run(writer) {
                #expect(writer.head == Position(epoch: 7, term: UInt64(later + 6), seq: 3))
            }
        }
    }

    @Test(arguments: Self.continuations)
    func `a page continues where the asker's term is known, from what was kept of it`(
        position: Position, after: UInt64
    ) async throws {
        try await Self.withLog { database in
            let page = try await Self.page(database, after: position, limit: 3)
            let head = Position(epoch: 7, term: 30, seq: 100)
            #expect(page.isContinuation)
            #expect(page.head == head)
            #expect(page.after == after)
            // All of the head's term, whichever writer wrote them.
            let expected = (after + 1..<after + 4).filter { $0 <= 100 }.map { Position(epoch: 7, term: 30, seq: $0) }
            #expect(page.events.compactMap(\.position) == expected)
        }
    }

    @Test(
        arguments: [
            nil, Position(epoch: 8, term: 30, seq: 95), Position(epoch: 7, term: 25, seq: 95),
            Position(epoch: 7, term: 31, seq: 95), Position(epoch: 7, term: 0, seq: 95),
            Position(epoch: .max, term: .max, seq: .max),
        ] as [Position?])
    func `in another log, and in a term that is not known, a page begins at a moment`(position: Position?) async throws
    {
        try await Self.withLog { database in
            let recent = try await Self.page(database, after: position, ago: .seconds(10), limit: 3)
            #expect(!recent.isContinuation)
            #expect(recent.after == 90)
            #expect(recent.events.compactMap { $0.position?.seq } == [91, 92, 93])
            #expect(try await Self.page(database, after: position, ago: .seconds(100), limit: 3).after == 0)
            #expect(try await Self.page(database, after: position, ago: .seconds(Int64.max / 1000)).events.count == 100)
            // Nothing is as new as that.
            _ = try await database.query("UPDATE event_log SET logged = logged - interval '1 hour'")
            let none = try await Self.page(database, after: position, ago: .seconds(10))
            #expect(none.after == 100 && none.events.isEmpty && !none.isContinuation)
        }
    }

    @Test func `a log without a writer yet has no page`() async throws {
        try await withDatabase(migrations: EventLog.migrations) { database in
            let failure = await #expect(throws: DatabaseError.self) { try await Self.page(database, after: nil) }
            #expect(failure?.isUnavailable == true)
        }
    }

    @Test func `a page ends with its bytes`() async throws {
        try await Self.withLog { database in
            _ = try await database.query("UPDATE event_log SET data = repeat('x', 3 << 20) WHERE seq < 6")
            let page = try await Self.page(database, after: Position(epoch: 7, term: 10, seq: 0))
            #expect(page.events.compactMap { $0.position?.seq } == [1, 2, 3])
        }
    }

    @Test func `a log from before there were terms is followed on`() async throws {
        try await PostgresFixture.withDatabase { url in
            func database(_ migrations: some Sequence<Migration>) -> Database {
                Database(DatabaseConfiguration(url: url, schema: "test"), migrations: Array(migrations), logger: quiet)
            }
            let old = database(EventLog.migrations.prefix(1))
            try await running([{ try await old.run() }]) {
                try await eventually("ready") { old.isReady }
                _ = try await old.query("INSERT INTO event_head (epoch, seq) VALUES (7, 5)")
            }
            let new = database(EventLog.migrations)
            try await running([{ try await new.run() }]) {
                try await eventually("ready") { new.isReady }
                // Its first writer is about to begin one.
                let failure = await #expect(throws: DatabaseError.self) { try await Self.page(new, after: nil) }
                #expect(failure?.isUnavailable == true)
                let writer = Self.writer(of: new)
                try await Self.run(writer) {
                    try await Self.write(2, writer)
                    let page = try await Self.page(new, after: nil, ago: .seconds(60))
                    #expect(page.head == writer.head)
                    #expect(page.head.epoch == 7 && page.head.term > 0)
                    #expect(page.events.compactMap { $0.position?.seq } == [6, 7])
                }
            }
        }
    }

    @Test func `a writer that loses its connection begins another term, and its followers go on`() async throws {
        try await withDatabase(migrations: EventLog.migrations) { database in
            let active = Collected<Position>()
            let writer = Self.writer(of: database, active)
            try await Self.run(writer) {
                try await Self.write(3, writer)
                let before = try #require(writer.head)
                _ = try await database.query(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
                        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    """)
                try await eventually("active again") { await active.items.count == 2 }
                try await eventually("written") { (try? await Self.write(1, writer)) != nil }
                let head = try #require(writer.head)
                #expect(head.term > before.term && head.seq > before.seq)
                let page = try await Self.page(database, after: before)
                #expect(page.isContinuation && page.after == before.seq)
                #expect(page.events.compactMap(\.position).last == head)
            }
        }
    }

    @Test func `terms that retention has passed are forgotten, but for the one that still lasted`() async throws {
        try await Self.withTerms { database in
            _ = try await database.query("UPDATE event_terms SET began = now() - interval '9 days' WHERE term = 10")
            _ = try await database.query("UPDATE event_terms SET began = now() - interval '8 days' WHERE term = 20")
            let writer = Self.writer(of: database)
            try await Self.run(writer) {
                try await eventually("forgotten") { try await Self.terms(database).first == 20 }
                #expect(try await Self.terms(database).count == 3)
            }
        }
    }

    @Test func `no more terms are kept than a bound`() async throws {
        try await Self.withTerms { database in
            _ = try await database.query(
                "INSERT INTO event_terms SELECT term, 7, 81, now() FROM generate_series(31, 31 + 10050) AS term")
            let writer = Self.writer(of: database)
            try await Self.run(writer) {
                try await eventually("forgotten") { try await Self.terms(database).count == EventTerms.max }
                #expect(try await Self.terms(database).last == writer.head.map { Int($0.term) })
            }
        }
    }

    private static func terms(_ database: Database) async throws -> [Int] {
        try await database.query("SELECT term FROM event_terms ORDER BY term")
            .map { try $0.decode("term", as: Int.self) }
    }
}
