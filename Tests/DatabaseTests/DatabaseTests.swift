import Database
import Events
import TestSupport
import Testing

@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct DatabaseTests {
    @Test func `every kind of value comes back as it went`() async throws {
        try await withDatabase { database in
            let time = Timestamp(milliseconds: 1_763_729_205_123)
            let texts = ["", "a", "b, \"c\" \\ {d}", "NULL", "ü\n"]
            let json: JSON = ["name": "x", "list": [1, 2.5, true, nil]]
            let rows = try await database.query(
                """
                SELECT \("it's ü; --")::text AS text, \(42) AS int, \(Int64.min) AS int64, \(0.1) AS double, \(true) AS bool,
                    \(time) AS time, \(texts) AS texts, \([Int64.max, -1]) AS numbers, \(json) AS json,
                    \(nil as String?)::text AS nothing, \([] as [String]) AS empty, \(Array("bytes".utf8))::text AS bytes
                """)
            let row = try #require(rows.first)
            #expect(try row.decode("text") == "it's ü; --")
            #expect(try row.decode("int") == 42)
            #expect(try row.decode("int64") == Int64.min)
            #expect(try row.decode("double") == 0.1)
            #expect(try row.decode("bool") == true)
            #expect(try row.decode("time") == time)
            #expect(try row.decode("texts") == texts)
            #expect(try row.decode("numbers") == [Int64.max, -1])
            #expect(try row.decode("json") == json)
            #expect(try row.decode("nothing", as: String?.self) == nil)
            #expect(try row.decode("int", as: Int?.self) == 42)
            #expect(try row.decode("empty") == [String]())
            #expect(try row.decode("bytes") == Array("bytes".utf8))
        }
    }

    @Test(arguments: [0, -1, 951_782_400_000, 1_709_164_800_001, -2_208_988_800_000, 253_402_300_799_999])
    func `a moment means the same to the server`(milliseconds: Int64) async throws {
        try await withDatabase(connections: 1) { database in
            let time = Timestamp(milliseconds: milliseconds)
            let rows = try await database.query(
                "SELECT \(time) AS time, (extract(epoch FROM \(time)) * 1000)::bigint AS number")
            let row = try #require(rows.first)
            #expect(try row.decode("time") == time)
            #expect(try row.decode("number") == milliseconds)
        }
    }

    @Test func `queries compose, and their parameters keep their places`() async throws {
        try await withDatabase { database in
            var query: Query = "SELECT \(1) AS a, \(unescaped: "2") AS b"
            query += ", \("three")::text AS c"
            let rows = try await database.query("SELECT a, b, c, \(4) AS d FROM (\(query)) q WHERE a = \(1)")
            let row = try #require(rows.first)
            #expect(try row.decode("c") == "three")
            #expect(try row.decode("d") == 4)
        }
    }

    @Test func `a column that is missing, NULL or something else is a decoding error`() async throws {
        try await withDatabase { database in
            let rows = try await database.query("SELECT \(nil as Int?) AS nothing, \("x")::text AS text")
            let row = try #require(rows.first)
            #expect(throws: DatabaseError.decoding("there is no column absent")) {
                try row.decode("absent", as: Int.self)
            }
            #expect(throws: DatabaseError.decoding("column nothing is NULL")) {
                try row.decode("nothing", as: Int.self)
            }
            #expect(throws: DatabaseError.decoding("column text is not a Int")) { try row.decode("text", as: Int.self) }
        }
    }

    @Test func `violations carry the constraint's name`() async throws {
        let migration = Migration(
            name: "1",
            sql: """
                CREATE TABLE station (id int CONSTRAINT station_id PRIMARY KEY, gain int CONSTRAINT station_gain CHECK (gain < 10));
                CREATE TABLE mount (station int CONSTRAINT mount_station REFERENCES station)
                """)
        try await withDatabase(migrations: [migration]) { database in
            _ = try await database.query("INSERT INTO station VALUES (\(1), \(1))")
            await #expect(throws: DatabaseError.uniqueViolation(constraint: "station_id")) {
                try await database.query("INSERT INTO station VALUES (\(1), \(1))")
            }
            await #expect(throws: DatabaseError.checkViolation(constraint: "station_gain")) {
                try await database.query("INSERT INTO station VALUES (\(2), \(10))")
            }
            await #expect(throws: DatabaseError.foreignKeyViolation(constraint: "mount_station")) {
                try await database.query("INSERT INTO mount VALUES (\(7))")
            }
            await #expect(throws: DatabaseError.query(sqlState: "22021", message: "a text with a NUL character")) {
                try await database.query("SELECT \("a\0b")::text")
            }
        }
    }

    @Test func `a transaction whose body throws leaves nothing behind`() async throws {
        try await withDatabase(migrations: [Migration(name: "1", sql: "CREATE TABLE item (id int)")], connections: 1) {
            database in
            await #expect(throws: Late.self) {
                try await database.transaction { transaction in
                    _ = try await transaction.query("INSERT INTO item VALUES (\(1))")
                    throw Late(what: "on purpose")
                }
            }
            try await database.transaction { transaction in
                _ = try await transaction.query("INSERT INTO item VALUES (\(2))")
            }
            let rows = try await database.query("SELECT id FROM item")
            #expect(try rows.map { try $0.decode("id", as: Int.self) } == [2])
        }
    }

    @Test func `a failed statement that the body ignores still fails the transaction`() async throws {
        try await withDatabase(connections: 1) { database in
            await #expect(throws: DatabaseError.query(sqlState: "25P02", message: "a failed statement was ignored")) {
                try await database.transaction { (transaction: Transaction) async throws -> Void in
                    do { _ = try await transaction.query("SELECT 1/0") } catch {}
                }
            }
            let rows = try await database.query("SELECT 1")
            #expect(rows.count == 1)
        }
    }

    @Test func `callers beyond the number of connections wait their turn`() async throws {
        try await withDatabase(connections: 2) { database in
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...100 {
                    group.addTask { try await database.query("SELECT \(number) AS n").first?.decode("n") ?? 0 }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 5050)
        }
    }

    @Test func `more statements than the cache holds still run`() async throws {
        try await withDatabase(connections: 1) { database in
            for round in 0..<2 {
                for number in 0..<300 {
                    let rows = try await database.query("SELECT \(round) AS n\(unescaped: "\(number)")")
                    #expect(try rows.first?.decode("n\(number)") == round)
                }
            }
            let rows = try await database.query("SELECT count(*) AS n FROM pg_prepared_statements")
            #expect(try #require(rows.first).decode("n", as: Int.self) <= 256)
        }
    }

    @Test func `a statement that is cancelled frees its place for the next`() async throws {
        try await withDatabase(connections: 1) { database in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await database.query("SELECT pg_sleep(\(9.0))") }
                group.cancelAll()
            }
            let start = ContinuousClock.now
            try await eventually("a new connection") { (try? await database.query("SELECT 1")) != nil }
            // The statement itself would have taken 9 s.
            #expect(ContinuousClock.now - start < .milliseconds(8500))
        }
    }

    @Test func `a statement beyond the timeout is unavailable`() async throws {
        try await PostgresFixture.withDatabase { url in
            var configuration = DatabaseConfiguration(url: url, schema: "test")
            configuration.statementTimeout = .milliseconds(100)
            let database = Database(configuration, logger: quiet)
            try await running([{ try await database.run() }]) {
                try await eventually("ready") { database.isReady }
                let error = await #expect(throws: DatabaseError.self) {
                    try await database.query("SELECT pg_sleep(\(9.0))")
                }
                #expect(error?.isUnavailable == true)
            }
        }
    }

    @Test func `a pool beside another connects once that has applied the migrations`() async throws {
        try await PostgresFixture.withDatabase { url in
            let configuration = DatabaseConfiguration(url: url, schema: "test", waitMax: .seconds(60))
            let migration = Migration(name: "1", sql: "SELECT pg_sleep(0.2); CREATE TABLE item (id int)")
            let owner = Database(configuration, migrations: [migration], logger: quiet)
            let pool = Database(
                configuration.forLog(pool: "log", waitMax: .seconds(60)), beside: owner, logger: quiet)
            try await withThrowingTaskGroup(of: Int?.self) { group in
                group.addTask {
                    try await pool.run()
                    return nil
                }
                group.addTask { try await pool.query("SELECT id FROM item").count }
                group.addTask {
                    try await owner.run()
                    return nil
                }
                #expect(try await group.next() == 0)
                #expect(pool.isReady && owner.isReady)
                let settings = try await pool.query(
                    "SELECT current_setting('statement_timeout') AS timeout, current_setting('enable_sort') AS sort")
                #expect(try settings.first?.decode("timeout") == "2s" && settings.first?.decode("sort") == "off")
                group.cancelAll()
            }
        }
    }

    @Test func `a database that stops is unavailable, and comes back by itself`() async throws {
        try await PostgresFixture.with { fixture in
            let configuration = DatabaseConfiguration(url: fixture.url, schema: "test", waitMax: .seconds(60))
            let database = Database(configuration, logger: quiet)
            try await running([{ try await database.run() }]) {
                try await eventually("ready") { database.isReady }
                try await fixture.stop()
                try await eventually("away") { !database.isReady }
                let start = ContinuousClock.now
                let error = await #expect(throws: DatabaseError.self) { try await database.query("SELECT 1") }
                #expect(error?.isUnavailable == true)
                // At once, not when its patience ends.
                #expect(ContinuousClock.now - start < .seconds(30))
                try await fixture.start()
                try await eventually("ready again") { database.isReady }
                #expect(try await database.query("SELECT 1").count == 1)
            }
        }
    }
}
