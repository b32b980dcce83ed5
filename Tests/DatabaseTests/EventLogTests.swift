import Events
import TestSupport
import Testing

@testable import Database

/// What `GET /v1/events` finds in a log, and how far one request searches.
@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct EventLogTests {
    private static func withLog(_ body: @Sendable (Database, EventWriter, EventLog) async throws -> Void) async throws {
        try await withDatabase(migrations: EventLog.migrations) { database in
            let writer = EventWriter(database: database, publisher: .radioPlayout, logger: quiet) { _ in }
            try await running([{ try await writer.run() }]) {
                try await eventually("active") { writer.isActive }
                try await body(database, writer, EventLog(database, publisher: .radioPlayout))
            }
        }
    }

    private static func event(
        _ type: EventType = "radio.now_playing", tenant: String = "default", room: String = "one",
        time: Timestamp = .now
    ) -> Event {
        Event(
            id: ULID(), type: type, tenant: tenant, room: room, publisher: .radioPlayout, time: time,
            data: Array("{}".utf8))
    }

    /// Follows the log to its end.
    private static func pages(_ log: EventLog, _ filter: EventFilter) async throws -> [EventLog.Page] {
        var (pages, filter): ([EventLog.Page], EventFilter) = ([], filter)
        while true {
            let page = try await log.page(matching: filter)
            pages.append(page)
            guard let next = page.next else { return pages }
            #expect(next > filter.after)
            filter.after = next
        }
    }

    private static func numbers(_ pages: [EventLog.Page]) -> [UInt64] {
        pages.flatMap { $0.events.compactMap { $0.position?.seq } }
    }

    @Test func `the log is searched by tenant, cursor, type, room and time`() async throws {
        try await Self.withLog { _, writer, log in
            let times = (1...6).map { Timestamp(milliseconds: 1_763_729_205_000 + $0) }
            try await writer.write { mutation in
                for number in 1...6 {
                    let type: EventType = number % 2 == 0 ? "radio.now_playing" : "radio.mount_changed"
                    mutation.emit(Self.event(type, room: number < 4 ? "one" : "two", time: times[number - 1]))
                }
                mutation.emit(Self.event(tenant: "defaul"))
                mutation.emit(Self.event(tenant: "default2"))
            }
            let found = { (filter: EventFilter) async throws -> [UInt64] in
                Self.numbers([try await log.page(matching: filter)])
            }
            #expect(try await found(EventFilter(tenant: "default")) == [1, 2, 3, 4, 5, 6])
            #expect(try await found(EventFilter(tenant: "defaul")) == [7])
            #expect(try await found(EventFilter(tenant: "other")) == [])
            #expect(try await found(EventFilter(tenant: "default", types: ["radio.now_playing"])) == [2, 4, 6])
            #expect(
                try await found(EventFilter(tenant: "default", types: ["radio.now_playing"], room: "two")) == [4, 6])
            #expect(try await found(EventFilter(tenant: "default", after: 2, limit: 2)) == [3, 4])
            #expect(try await found(EventFilter(tenant: "default", from: times[1], to: times[3])) == [2, 3])
            let page = try await log.page(matching: EventFilter(tenant: "default", limit: 2))
            let head = try #require(try await log.head())
            #expect(page.next == 2)
            #expect(page.events.last?.position == Position(epoch: head.epoch, term: head.term, seq: 2))
        }
    }

    @Test func `a page searches a bounded part of the log, and says where to go on`() async throws {
        try await Self.withLog { database, writer, log in
            // It makes the partition of today.
            try await writer.write { $0.emit(Self.event()) }
            let max = LogStatement.searchMax
            let count = 2 * max + 100
            // Every other event is of another tenant.
            _ = try await database.query(
                """
                INSERT INTO event_log (seq, id, type, tenant, room, time, logged, data)
                SELECT n, \(ULID().text), CASE WHEN n = \(4 * max + 50) OR n = \(2 * max) THEN 'rare' ELSE 'common' END,
                    CASE WHEN n % 2 = 0 THEN 'own' ELSE 'other' END, 'room', now(), now(), '{}'
                FROM generate_series(1, \(2 * count)) AS n
                """)
            let rare = try await Self.pages(log, EventFilter(tenant: "own", types: ["rare"]))
            #expect(rare.map(\.next) == [UInt64(2 * max), UInt64(4 * max), nil])
            #expect(rare.map { Self.numbers([$0]) } == [[UInt64(2 * max)], [], [UInt64(4 * max + 50)]])
            #expect(try await Self.pages(log, EventFilter(tenant: "own", room: "nowhere")).count == 3)
            #expect(try await Self.pages(log, EventFilter(tenant: "nobody", room: "nowhere")).count == 1)
            let all = try await Self.pages(log, EventFilter(tenant: "own", limit: 1000))
            #expect(Self.numbers(all) == (1...count).map { UInt64(2 * $0) })
        }
    }

    @Test func `a search from a moment begins where that moment was written`() async throws {
        try await Self.withLog { database, writer, log in
            // Of the tenant, too far in the past for one page to search from the beginning.
            _ = try await database.query(
                """
                CREATE TABLE event_log_old PARTITION OF event_log FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')
                """)
            _ = try await database.query(
                """
                INSERT INTO event_log (seq, id, type, tenant, room, time, logged, data)
                SELECT n, \(ULID().text), 'old', 'default', 'room', '2020-01-01 12:00+00', '2020-01-01 12:00+00', '{}'
                FROM generate_series(1, \(LogStatement.searchMax + 1)) AS n
                """)
            _ = try await database.query("UPDATE event_head SET seq = \(LogStatement.searchMax + 1)")
            let now = Timestamp.now
            try await writer.write { mutation in
                // Heard of late; now; by a clock that is ahead, and by one that is wrong.
                for time in [now - .seconds(86_400), now, now + .seconds(30), now + .seconds(86_400)] {
                    mutation.emit(Self.event(time: time))
                }
            }
            let page = try await log.page(matching: EventFilter(tenant: "default", from: now))
            #expect(page.next == nil && page.events.map(\.time).prefix(2) == [now, now + .seconds(30)])
            // Else a search from then would not find it.
            let set = try #require(page.events.last?.time)
            #expect(page.events.count == 3 && set < now + .seconds(120))
            #expect(try await log.page(matching: EventFilter(tenant: "default", from: set)).events.count == 1)
            let late = try await Self.pages(
                log, EventFilter(tenant: "default", from: now - .seconds(90_000), to: now - .seconds(3600)))
            #expect(late.flatMap(\.events).map(\.time) == [now - .seconds(86_400)])
            let future = EventFilter(tenant: "default", from: now + .seconds(90_000))
            #expect(try await log.page(matching: future) == EventLog.Page(events: [], next: nil))
        }
    }

    @Test func `events are written at the last moment until a clock that was set back has caught up`() async throws {
        try await withDatabase(migrations: EventLog.migrations) { database in
            // Of a writer whose clock was ahead.
            let last = Timestamp(milliseconds: Timestamp.now.milliseconds + 1_800_000)
            let connection = try await Connection.open(database.configuration)
            var partitions = LogPartitions()
            try await partitions.ensure(LogPartitions.day(of: last), on: connection)
            _ = try await connection.run(
                """
                INSERT INTO event_log (seq, id, type, tenant, room, time, logged, data)
                VALUES (1, \(ULID().text), 'x', 'default', 'room', \(last), \(last), '{}')
                """)
            _ = try await connection.run("INSERT INTO event_head (epoch, seq) VALUES (1, 1)")
            await connection.close()
            let writer = EventWriter(database: database, publisher: .radioPlayout, logger: quiet) { _ in }
            try await running([{ try await writer.run() }]) {
                try await eventually("active") { writer.isActive }
                try await writer.write { $0.emit(Self.event()) }
                let rows = try await database.query("SELECT logged FROM event_log WHERE seq = 2")
                #expect(try rows.first?.decode("logged", as: Timestamp.self) == last)
            }
        }
    }

    @Test(
        arguments: [
            (nil, 5000, 5000), (4000, 5000, 5000), (5000, 5000, 5000), (6000, 5000, 6000), (3_605_000, 5000, 3_605_000),
            (3_605_001, 5000, 5000),
        ] as [(Int64?, Int64, Int64)])
    func `the moment of writing does not go back with the clock, unless that was wrong`(
        last: Int64?, now: Int64, moment: Int64
    ) {
        var clock = LogClock(last: last.map { Timestamp(milliseconds: $0) })
        #expect(clock.next(at: Timestamp(milliseconds: now)) == Timestamp(milliseconds: moment))
        #expect(clock.next(at: Timestamp(milliseconds: now)) == Timestamp(milliseconds: moment))
    }
}
