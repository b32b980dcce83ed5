import Events
import Foundation
import TestSupport
import Testing

@testable import Database

/// Every statement that reads the log reads a bounded number of Postgres's pages, however long the log is and whatever plan it gets.
/// `CROSSPOINT_EVENTS=24000000` makes the log that long.
@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct LogPlanTests {
    private static let count =
        ProcessInfo.processInfo.environment["CROSSPOINT_EVENTS"].flatMap { Int($0) } ?? 300_000
    private static let days = 7
    private static let epoch: UInt64 = 42

    private struct Example {
        let what: String
        let statement: LogStatement
        /// How many pages it may read.
        let pagesMax: Int

        init(_ what: String, _ statement: LogStatement, _ pagesMax: Int) {
            (self.what, self.statement, self.pagesMax) = (what, statement, pagesMax)
        }
    }

    /// A log with nine partitions takes 40 pages to be looked at in each; the rest is for the events that are read.
    private static func examples(at now: Timestamp) -> [Example] {
        func replay(_ term: UInt64, _ seq: Int, epoch: UInt64 = Self.epoch) -> LogStatement {
            .replay(
                ReplayRequest(
                    after: Position(epoch: epoch, term: term, seq: UInt64(seq)), ago: 1000, limit: EventLog.pageMax),
                at: now)
        }
        func contact(_ ago: Duration) -> LogStatement {
            .replay(ReplayRequest(after: nil, ago: Int64(ago / .milliseconds(1)), limit: 500), at: now)
        }
        func search(
            _ tenant: String, _ types: [EventType] = [], room: String? = nil, from: Timestamp? = nil,
            to: Timestamp? = nil,
            after: Int = 0
        ) -> LogStatement {
            .search(
                EventFilter(
                    tenant: tenant, types: types, room: room, from: from, to: to, after: UInt64(after),
                    limit: EventLog.pageMax))
        }
        let count = Self.count
        let day = now - .seconds(86_400)
        return [
            Example("a follower goes on", replay(7, count - 10), 60),
            Example("a follower that was away", replay(7, count - 900), 120),
            Example("a follower that was long away", replay(5, 10), 120),
            Example("a follower that stands on lost numbers", replay(5, count), 120),
            Example("a follower of another log", replay(7, count, epoch: 1), 120),
            Example("a follower of an unknown term", replay(8, count), 120),
            Example("first contact", contact(.seconds(1)), 80),
            Example("first contact after days", contact(.seconds(3 * 86_400)), 120),
            Example("first contact after years", contact(.seconds(1000 * 86_400)), 120),
            Example("first contact in the future", contact(.seconds(-100)), 60),
            Example("a tenant with three events", search("small"), 60),
            Example("a tenant with three events, of a type", search("small", ["chat.message"]), 60),
            Example("a tenant without events", search("nobody"), 50),
            Example("a tenant without events, in order before all", search(""), 50),
            Example("a tenant without events, in order behind all", search("~"), 50),
            Example("a tenant without events, of a room and a time", search("nobody", room: "rare", to: day), 50),
            Example("a tenant with all events", search("big"), 150),
            Example("a type that is rare", search("big", ["stream.ended"]), 450),
            Example("a type that is not there", search("big", ["nothing", "nothing.else"]), 450),
            Example("a room that is not there", search("big", room: "nowhere", after: count / 2), 450),
            Example("a range of time that is over", search("big", from: day, to: day, after: count / 2), 450),
            Example("all parameters", search("big", ["viewer.left"], room: "room-7", from: day, to: now), 450),
            Example("behind the end", search("big", after: count), 50),
            Example("a moment ago", .firstSeq(loggedSince: now - .seconds(1)), 40),
            Example("a day ago", .firstSeq(loggedSince: day), 40),
            Example("before the log", .firstSeq(loggedSince: now - .seconds(1000 * 86_400)), 40),
            Example("in the future", .firstSeq(loggedSince: now + .seconds(3600)), 40),
            Example("the last moment", .lastLogged, 40),
            Example("a lost COMMIT", .outcome(of: "3", lastSeq: Int64(count / 2)), 50),
        ]
    }

    @Test(.timeLimit(.minutes(30))) func `no statement reads more pages than it has to, with any plan`() async throws {
        try await PostgresFixture.withDatabase { url in
            let configuration = DatabaseConfiguration(url: url, schema: "test", statementTimeout: .seconds(1500))
            let database = Database(configuration, migrations: EventLog.migrations, logger: quiet)
            try await running([{ try await database.run() }]) {
                try await eventually("ready") { database.isReady }
                let now = Timestamp.now
                try await Self.fill(configuration, until: now)
                let examples = Self.examples(at: now)
                #expect(Set(examples.map(\.statement.kind)) == Set(LogStatement.Kind.allCases), "each has examples")
                let reader = try await Connection.open(configuration.forLog(pool: "test", waitMax: .seconds(1)))
                let writer = try await Connection.open(configuration)
                for mode in ["force_generic_plan", "force_custom_plan"] {
                    for connection in [reader, writer] {
                        try await connection.execute("SET plan_cache_mode TO \(mode)")
                    }
                    for example in examples {
                        let connection = Self.isWriters(example.statement.kind) ? writer : reader
                        let (pages, time) = try await Self.explain(example.statement, on: connection)
                        #expect(pages <= example.pagesMax, "\(example.what), \(mode)")
                        if Self.count > 1_000_000 {
                            print("log of \(Self.count): \(example.what), \(mode): \(pages) pages, \(time) ms")
                        }
                    }
                }
                await reader.close()
                await writer.close()
            }
        }
    }

    /// Returns whether a statement is run by the writer, on a connection without the settings of the log's pools.
    private static func isWriters(_ kind: LogStatement.Kind) -> Bool {
        switch kind {
        case .replay, .search, .firstSeq: false
        case .lastLogged, .outcome: true
        }
    }

    /// One tenant has all events but three, which is what the planner then knows of tenants.
    private static func fill(_ configuration: DatabaseConfiguration, until now: Timestamp) async throws {
        let connection = try await Connection.open(configuration)
        var partitions = LogPartitions()
        let today = LogPartitions.day(of: now)
        for day in today - Int64(Self.days)...today + 1 { try await partitions.ensure(day, on: connection) }
        let (count, end) = (Self.count, TimestampText.write(now))
        try await connection.execute(
            """
            INSERT INTO event_log (seq, id, type, tenant, room, time, logged, data)
            SELECT n, '01' || lpad(upper(to_hex(n)), 24, '0'),
                CASE WHEN n % (\(count) / 2) = 7 THEN 'stream.ended'
                    ELSE (ARRAY['chat.message', 'viewer.joined', 'viewer.left', 'reaction.received'])[n % 4 + 1] END,
                CASE WHEN n % (\(count) / 3) = 1 THEN 'small' ELSE 'big' END, 'room-' || n % 500, moment, moment,
                '{"number":' || n || '}'
            FROM (
                SELECT n, timestamptz '\(end)' - (\(count) - n) * make_interval(secs => \(Self.days * 86_400).0 / \(count)) AS moment
                FROM generate_series(1, \(count)) AS n
            ) AS numbers;
            INSERT INTO event_head (epoch, term, seq) VALUES (\(Self.epoch), 7, \(count));
            INSERT INTO event_terms (term, epoch, first, began)
            VALUES (5, \(Self.epoch), 1, now()), (6, \(Self.epoch), \(count / 2), now()), (7, \(Self.epoch), \(count - 1000), now());
            ANALYZE event_log;
            """)
        await connection.close()
    }

    /// Returns how many pages a statement reads, and what it takes.
    private static func explain(
        _ statement: LogStatement, on connection: Connection
    ) async throws -> (pages: Int, milliseconds: Double) {
        struct Explanation: Decodable {
            struct Plan: Decodable {
                let hit: Int
                let read: Int

                enum CodingKeys: String, CodingKey { case hit = "Shared Hit Blocks", read = "Shared Read Blocks" }
            }

            let plan: Plan
            let time: Double

            enum CodingKeys: String, CodingKey { case plan = "Plan", time = "Execution Time" }
        }
        // A statement of the protocol would be planned for its values.
        let names: [UInt32: String] = [0: "unknown", 16: "boolean", 20: "bigint", 1009: "text[]", 1184: "timestamptz"]
        let types = try statement.query.parameters.map { try #require(names[$0.type]) }.joined(separator: ", ")
        let values = statement.query.parameters.map { parameter in
            parameter.text.map { "'" + String(decoding: $0, as: UTF8.self).replacing("'", with: "''") + "'" } ?? "NULL"
        }
        func list(_ text: String) -> String { text.isEmpty ? "" : "(\(text))" }
        try await connection.execute("PREPARE example \(list(types)) AS \(statement.query.sql)")
        let explain =
            "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE example \(list(values.joined(separator: ", ")))"
        let rows = try await connection.run(Query(stringLiteral: explain))
        try await connection.execute("DEALLOCATE example")
        let text: [UInt8] = try #require(rows.first).decode("QUERY PLAN")
        let explanation = try #require(try JSONDecoder().decode([Explanation].self, from: Data(text)).first)
        return (explanation.plan.hit + explanation.plan.read, explanation.time)
    }
}
