import Database
import Foundation
import TestSupport
import Testing

/// What `deploy/postgres/roles.sql` does to a cluster in which one role owned everything.
@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct RolesTests {
    private static let script = Query(
        stringLiteral: (try? String(
            contentsOf: URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "../../deploy/postgres/roles.sql"), encoding: .utf8)) ?? "")
    /// The kinds of things that services make.
    private static let first = Migration(
        name: "0001",
        sql: """
            CREATE TABLE item (id bigint GENERATED ALWAYS AS IDENTITY, day date NOT NULL) PARTITION BY RANGE (day);
            CREATE TABLE item_old PARTITION OF item FOR VALUES FROM ('2020-01-01') TO ('2030-01-01');
            CREATE TABLE secret (name text PRIMARY KEY, number bigserial);
            CREATE SEQUENCE counter; CREATE VIEW shown AS SELECT name FROM secret;
            CREATE TYPE mood AS ENUM ('good'); CREATE TYPE pair AS (one int, other mood); CREATE DOMAIN small AS int;
            CREATE FUNCTION twice(small) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
            """)
    private static let second = Migration(
        name: "0002",
        sql: """
            ALTER TABLE item ADD COLUMN name text; ALTER TABLE secret ADD COLUMN more pair; ALTER SEQUENCE counter CYCLE;
            DROP TABLE item_old; ALTER TYPE mood ADD VALUE 'bad'; ALTER DOMAIN small SET NOT NULL;
            CREATE OR REPLACE VIEW shown AS SELECT name, number FROM secret; DROP FUNCTION twice;
            """)

    private static func use<R: Sendable>(
        _ url: String, as role: String, schema: String, migrations: [Migration] = [],
        _ body: @Sendable (Database) async throws -> R
    ) async throws -> R {
        let url = url.replacing(/user=\w+/, with: "user=\(role)")
        let database = Database(
            DatabaseConfiguration(url: url, schema: schema, connections: 1), migrations: migrations, logger: quiet)
        return try await running([{ try await database.run() }]) {
            try await eventually("\(role) is ready") { database.isReady }
            return try await body(database)
        }
    }

    private static func refusal(_ database: Database, _ query: Query) async throws -> String? {
        do {
            _ = try await database.query(query)
            return nil
        } catch DatabaseError.query(let state, _) {
            return state
        }
    }

    @Test func `each service owns its schema afterwards, and has no right in another's`() async throws {
        try await PostgresFixture.with { fixture in
            let url = try await fixture.createDatabase("crosspoint")
            try await Self.use(url, as: "postgres", schema: "made_for_this") {
                (superuser: Database) async throws -> Void in
                for statement: Query in [
                    "CREATE ROLE crosspoint LOGIN", "ALTER DATABASE crosspoint OWNER TO crosspoint",
                ] { _ = try await superuser.query(statement) }
            }
            try await Self.use(url, as: "crosspoint", schema: "auth", migrations: [Self.first]) {
                (auth: Database) async throws -> Void in
                _ = try await auth.query("INSERT INTO secret (name) VALUES ('of auth')")
            }
            for _ in 0..<2 {
                try await Self.use(url, as: "postgres", schema: "made_for_this") {
                    (superuser: Database) async throws -> Void in
                    _ = try await superuser.query(Self.script)
                    let rest = try await superuser.query(
                        "SELECT 1 FROM pg_class WHERE relowner = 'crosspoint'::regrole UNION SELECT 1 FROM pg_type WHERE typowner = 'crosspoint'::regrole"
                    )
                    #expect(rest.isEmpty)
                }
            }
            // Migrations of a table need its owner.
            let migrations = [Self.first, Self.second]
            try await Self.use(url, as: "crosspoint_auth", schema: "auth", migrations: migrations) {
                (auth: Database) async throws -> Void in
                #expect(try await auth.query("SELECT name FROM shown").count == 1)
                _ = try await auth.query("INSERT INTO secret (name) VALUES ('another')")
            }
            try await Self.use(url, as: "crosspoint_stream_metrics", schema: "stream_metrics", migrations: [Self.first])
            { (other: Database) async throws -> Void in
                // 42501: insufficient privilege.
                for forbidden: Query in [
                    "SELECT * FROM auth.secret", "INSERT INTO auth.secret (name) VALUES ('x')",
                    "SELECT * FROM auth.shown",
                    "DROP SCHEMA auth CASCADE", "CREATE TABLE auth.mine ()", "CREATE TABLE public.mine ()",
                    "CREATE SCHEMA mine", "CREATE TEMPORARY TABLE mine ()", "SET ROLE crosspoint_auth",
                    "CREATE ROLE mine", "SELECT * FROM pg_authid",
                ] { #expect(try await Self.refusal(other, forbidden) == "42501", "\(forbidden)") }
                #expect(try await other.query("SELECT * FROM secret").isEmpty)
            }
            // 28000: it may not sign in. Connections are tried again for ever, so ask Postgres.
            try await Self.use(url, as: "postgres", schema: "made_for_this") {
                (superuser: Database) async throws -> Void in
                let row = try #require(
                    await superuser.query("SELECT rolcanlogin AS may FROM pg_roles WHERE rolname = 'crosspoint'").first)
                #expect(try row.decode("may", as: Bool.self) == false)
            }
        }
    }
}
