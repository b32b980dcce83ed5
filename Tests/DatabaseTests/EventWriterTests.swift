import Events
import TestSupport
import Testing

@testable import Database

@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct EventWriterTests {
    private static let migrations =
        EventLog.migrations + [
            Migration(name: "item", sql: "CREATE TABLE item (id bigint CONSTRAINT item_id PRIMARY KEY)")
        ]

    private struct Bench: Sendable {
        let database: Database
        let published: Collected<Event>
        let writer: EventWriter
        let log: EventLog

        init(_ database: Database) {
            let published = Collected<Event>()
            self.database = database
            self.published = published
            self.writer = EventWriter(database: database, publisher: .radioPlayout, logger: quiet) {
                await published.add($0)
            }
            self.log = EventLog(database, publisher: .radioPlayout)
        }
    }

    private static func withWriter<R: Sendable>(_ body: @Sendable (Bench) async throws -> R) async throws -> R {
        try await withDatabase(migrations: Self.migrations) { database in
            let bench = Bench(database)
            return try await running([{ try await bench.writer.run() }]) {
                try await eventually("active") { bench.writer.isActive }
                return try await body(bench)
            }
        }
    }

    private static func event(_ number: Int, type: EventType = "radio.now_playing", room: String = "one") -> Event {
        Event(
            id: ULID(), type: type, tenant: "default", room: room, publisher: .radioPlayout,
            time: Timestamp(milliseconds: 1_763_729_205_000 + Int64(number)), data: Array("{\"n\":\(number)}".utf8))
    }

    private static func add(_ number: Int, _ mutation: Mutation) async throws {
        _ = try await mutation.query("INSERT INTO item VALUES (\(number))")
        mutation.emit(Self.event(number))
    }

    @Test func `concurrent writes get a gapless seq, and are published in its order`() async throws {
        try await Self.withWriter { bench in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...200 {
                    group.addTask { try await bench.writer.write { try await Self.add(number, $0) } }
                }
                try await group.waitForAll()
            }
            let published = await bench.published.items
            #expect(published.map { $0.position?.seq } == (1...200).map { UInt64($0) })
            #expect(Set(published.map(\.data)).count == 200)
            #expect(bench.writer.head == published.last?.position)
            let rest = ReplayRequest(after: published.first?.position, ago: 0, limit: 1000)
            #expect(try await bench.log.page(for: rest).events == Array(published.dropFirst()))
            #expect(try await bench.database.query("SELECT id FROM item").count == 200)
        }
    }

    @Test func `a write answers with its body's value, after its event was published`() async throws {
        try await Self.withWriter { bench in
            let value = try await bench.writer.write { mutation in
                mutation.emit(Self.event(1))
                return 42
            }
            #expect(value == 42)
            #expect(await bench.published.items.count == 1)
        }
    }

    @Test func `bodies that fail in a batch fail alone, and their events are never published`() async throws {
        try await Self.withWriter { bench in
            let gate = Gate()
            let failures = try await withThrowingTaskGroup(of: Int.self) { group in
                // Holds the writer until all others are queued, so that they become one batch.
                group.addTask {
                    try await bench.writer.write { _ in await gate.pass() }
                    return 0
                }
                try await eventually("the writer is held") { await gate.isAwaited }
                for number in 1...90 {
                    group.addTask {
                        do {
                            try await bench.writer.write { mutation in
                                try await Self.add(number, mutation)
                                if number % 3 == 0 { throw Late(what: "on purpose") }
                                // Fails in the server, ignored by the body.
                                if number % 10 == 1 { do { _ = try await mutation.query("SELECT 1/0") } catch {} }
                                // An event that Postgres cannot store.
                                if number % 10 == 4 { mutation.emit(Self.event(number, room: "\0")) }
                            }
                            return 0
                        } catch {
                            return number
                        }
                    }
                }
                try await eventually("all are queued") { bench.writer.queued == 90 }
                await gate.open()
                return try await group.reduce(into: Set<Int>()) { $0.insert($1) }.subtracting([0])
            }
            let expected = Set((1...90).filter { $0 % 3 == 0 || $0 % 10 == 1 || $0 % 10 == 4 })
            #expect(failures == expected)
            let published = await bench.published.items
            #expect(published.count == 90 - expected.count)
            #expect(published.map { $0.position?.seq } == (1...published.count).map { UInt64($0) })
            let rows = try await bench.database.query("SELECT id FROM item ORDER BY id")
            #expect(try rows.map { try $0.decode("id", as: Int.self) } == (1...90).filter { !expected.contains($0) })
        }
    }

    @Test func `a violation reaches the one who caused it`() async throws {
        try await Self.withWriter { bench in
            try await bench.writer.write { try await Self.add(1, $0) }
            await #expect(throws: DatabaseError.uniqueViolation(constraint: "item_id")) {
                try await bench.writer.write { try await Self.add(1, $0) }
            }
            try await bench.writer.write { try await Self.add(2, $0) }
            #expect(await bench.published.items.map { $0.position?.seq } == [1, 2])
        }
    }

    @Test func `a second writer stands by, and takes over where the first ended`() async throws {
        try await withDatabase(migrations: Self.migrations) { database in
            let (first, second) = (Bench(database), Bench(database))
            let late: @Sendable () async throws -> Void = {
                try await eventually("the first is active") { first.writer.isActive }
                try await second.writer.run()
            }
            try await running([late]) {
                try await running([{ try await first.writer.run() }]) {
                    try await eventually("the first is active") { first.writer.isActive }
                    try await first.writer.write { try await Self.add(1, $0) }
                    try await eventually("the second stands by") { second.writer.isStandby }
                    await #expect(throws: DatabaseError.notActiveWriter) {
                        try await second.writer.write { try await Self.add(2, $0) }
                    }
                    #expect(!second.writer.isActive)
                    #expect(second.writer.head == nil)
                }
                try await eventually("the second is active") { second.writer.isActive }
                #expect(second.writer.head?.seq == (await first.published.items).first?.position?.seq)
                try await second.writer.write { try await Self.add(2, $0) }
                #expect(await second.published.items.map { $0.position?.seq } == [2])
            }
        }
    }

    @Test func `a writer whose connection is killed connects again and loses nothing it answered`() async throws {
        try await Self.withWriter { bench in
            let collected = Collected<Int>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 1...300 {
                    group.addTask {
                        do {
                            try await bench.writer.write { try await Self.add(number, $0) }
                            await collected.add([number])
                        } catch let error as DatabaseError {
                            #expect(error.isUnavailable)
                        }
                    }
                }
                group.addTask {
                    try await eventually("some were written") { await collected.items.count > 0 }
                    _ = try await bench.database.query(
                        """
                        SELECT pg_terminate_backend(pid) FROM pg_locks
                        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                        """)
                }
                try await group.waitForAll()
            }
            try await eventually("active again") {
                (try? await bench.writer.write { _ in }) != nil
            }
            try await bench.writer.write { try await Self.add(1000, $0) }
            let answered = Set(await collected.items + [1000])
            let rows = try await bench.database.query("SELECT id FROM item")
            #expect(Set(try rows.map { try $0.decode("id", as: Int.self) }) == answered)
            let published = await bench.published.items
            #expect(published.map { $0.position?.seq } == (1...published.count).map { UInt64($0) })
            #expect(published.count == answered.count)
        }
    }

    @Test func `writes while Postgres is away are unavailable, and resume`() async throws {
        try await PostgresFixture.with { fixture in
            let database = Database(
                DatabaseConfiguration(url: fixture.url, schema: "test"), migrations: Self.migrations, logger: quiet)
            let bench = Bench(database)
            try await running([{ try await database.run() }, { try await bench.writer.run() }]) {
                try await eventually("active") { bench.writer.isActive }
                try await bench.writer.write { try await Self.add(1, $0) }
                let epoch = bench.writer.head?.epoch
                try await fixture.stop()
                try await eventually("inactive") { !bench.writer.isActive }
                let error = await #expect(throws: DatabaseError.self) {
                    try await bench.writer.write { try await Self.add(2, $0) }
                }
                #expect(error?.isUnavailable == true)
                try await fixture.start()
                try await eventually("active again") { bench.writer.isActive }
                try await bench.writer.write { try await Self.add(3, $0) }
                #expect(bench.writer.head?.epoch == epoch && bench.writer.head?.seq == 2)
            }
        }
    }

    @Test func `mutations that wait while Postgres is down do not make the writer connect more often`() async throws {
        try await PostgresFixture.with { fixture in
            let configuration = DatabaseConfiguration(url: fixture.url, schema: "test", connections: 1)
            let database = Database(configuration, migrations: Self.migrations, logger: quiet)
            let bench = Bench(database)
            try await running([{ try await database.run() }, { try await bench.writer.run() }]) {
                try await eventually("active") { bench.writer.isActive }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        // The answer to its COMMIT is lost, so the writer connects to ask what became of it.
                        await #expect(throws: DatabaseError.self) {
                            try await bench.writer.write { mutation in
                                try await Self.add(1, mutation)
                                try await fixture.stop()
                            }
                        }
                    }
                    var counter: ConnectionCounter?
                    try await eventually("the server is down") {
                        // `try?`: it still has its socket.
                        if !database.isReady { counter = try? await ConnectionCounter.start(socket: fixture.socket) }
                        return counter != nil
                    }
                    let attempts = try #require(counter)
                    try await eventually("the writer asks") { attempts.count > 1 }
                    let before = attempts.count
                    let start = ContinuousClock.now
                    var waited = 0
                    for number in 0..<80 {
                        group.addTask { _ = try? await bench.writer.write { try await Self.add(1000 + number, $0) } }
                        try await Task.sleep(for: .milliseconds(5))
                        waited = max(waited, bench.writer.queued)
                    }
                    #expect(waited > 40)
                    // Five a second, and a few of the pool.
                    #expect(attempts.count - before < 10 + Int((ContinuousClock.now - start) / .milliseconds(200)))
                    try await attempts.stop()
                    try await fixture.start()
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test func `partitions older than the retention are dropped, and the others stay`() async throws {
        try await withDatabase(migrations: Self.migrations) { database in
            _ = try await database.query(
                "CREATE TABLE event_log_20200101 PARTITION OF event_log FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')"
            )
            let bench = Bench(database)
            try await running([{ try await bench.writer.run() }]) {
                try await eventually("active") { bench.writer.isActive }
                try await eventually("dropped") {
                    try await database.query("SELECT to_regclass('event_log_20200101')::text AS name").first?
                        .decode("name", as: String?.self) == nil
                }
                try await bench.writer.write { try await Self.add(1, $0) }
                #expect(try await bench.log.page(matching: EventFilter(tenant: "default")).events.count == 1)
            }
        }
    }
}

/// Lets nobody pass until it is opened.
actor Gate {
    private var isOpen = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    var isAwaited: Bool { !self.waiting.isEmpty }

    func pass() async {
        if !self.isOpen { await withCheckedContinuation { self.waiting.append($0) } }
    }

    func open() {
        self.isOpen = true
        for continuation in self.waiting { continuation.resume() }
        self.waiting = []
    }
}
