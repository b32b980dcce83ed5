import Database
import TestSupport
import Testing

@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct MigrationTests {
    @Test func `processes that start together apply each migration once`() async throws {
        // Applied a second time either one would fail.
        let migrations = [
            Migration(name: "0001-initial", sql: "CREATE TABLE item (id int); INSERT INTO item VALUES (1)"),
            Migration(name: "0002-more", sql: "ALTER TABLE item ADD COLUMN name text; INSERT INTO item VALUES (2)"),
        ]
        try await PostgresFixture.withDatabase { url in
            let databases = (0..<4).map { _ in
                Database(
                    DatabaseConfiguration(url: url, schema: "shop \"x\"", connections: 2), migrations: migrations,
                    logger: quiet)
            }
            try await running(databases.map { database in { try await database.run() } }) {
                for database in databases { try await eventually("ready") { database.isReady } }
                let rows = try await databases[0].query("SELECT id FROM item ORDER BY id")
                #expect(try rows.map { try $0.decode("id", as: Int.self) } == [1, 2])
                let names = try await databases[3].query("SELECT name FROM migrations ORDER BY name")
                #expect(try names.map { try $0.decode("name", as: String.self) } == ["0001-initial", "0002-more"])
            }
        }
    }

    @Test func `a migration that the server refuses changes nothing and ends the service`() async throws {
        try await PostgresFixture.withDatabase { url in
            let configuration = DatabaseConfiguration(url: url, schema: "test", connections: 1)
            let faulty = Database(
                configuration, migrations: [Migration(name: "1", sql: "CREATE TABLE item (id int); SELECT 1/0")],
                logger: quiet)
            await #expect(throws: DatabaseError.query(sqlState: "22012", message: "division by zero")) {
                try await faulty.run()
            }
            let fixed = Database(
                configuration, migrations: [Migration(name: "1", sql: "CREATE TABLE item (id int)")], logger: quiet)
            try await running([{ try await fixed.run() }]) {
                try await eventually("ready") { fixed.isReady }
                #expect(try await fixed.query("SELECT id FROM item").isEmpty)
            }
        }
    }

    @Test func `a server that comes back as it was before a migration is migrated again`() async throws {
        let migration = Migration(name: "1", sql: "CREATE TABLE item (id int)")
        try await withDatabase(migrations: [migration], connections: 1) { database in
            _ = try await database.query("DROP SCHEMA test CASCADE")
            await #expect(throws: DatabaseError.self) {
                try await database.query("SELECT pg_terminate_backend(pg_backend_pid())")
            }
            // `try?`: there is no connection for a moment.
            try await eventually("migrated") { (try? await database.query("SELECT id FROM item")) != nil }
        }
    }
}
