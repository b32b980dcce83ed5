import Events
import TestSupport
import Testing

@testable import Database

@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct FailoverTests {
    @Test func `a transaction that a failover has lost is not taken for another one with its number`() async throws {
        try await PostgresFixture.with { primary in
            try await primary.withStandby { standby in
                let configuration = DatabaseConfiguration(
                    url: PostgresFixture.url(of: [primary, standby]), schema: "test", connections: 1)
                let database = Database(configuration, migrations: EventLog.migrations, logger: quiet)
                let published = Collected<Event>()
                let writer = EventWriter(database: database, publisher: .radioPlayout, logger: quiet) {
                    await published.add($0)
                }
                try await running([{ try await database.run() }, { try await writer.run() }]) {
                    try await eventually("active") { writer.isActive }
                    try await primary.waitUntilFollowed()
                    let error = await #expect(throws: DatabaseError.self) {
                        try await writer.write { mutation in
                            mutation.emit(Event(station: "lost"))
                            let rows = try await mutation.query("SELECT pg_current_xact_id()::text::bigint AS number")
                            let number: Int64 = try #require(try rows.first?.decode("number"))
                            try await primary.crash()
                            try await standby.promote()
                            try await Self.useTransactions(through: number, of: standby)
                        }
                    }
                    #expect(error?.isUnavailable == true, "\(String(describing: error))")
                    try await eventually("active again") { writer.isActive }
                    try await writer.write { $0.emit(Event(station: "kept")) }
                    let log = EventLog(database, publisher: .radioPlayout)
                    try await eventually("the log can be read") {
                        // `try?`: the pool may not have noticed yet that its connection is lost.
                        let page = try? await log.page(matching: EventFilter(tenant: "default"))
                        return page?.events.map(\.room) == ["kept"]
                    }
                    #expect(await published.items.map(\.room) == ["kept"])
                }
            }
        }
    }

    @Test func `a log without a term is not answered for: its first writer is about to begin one`() async throws {
        try await withDatabase(migrations: EventLog.migrations) { database in
            _ = try await database.query("INSERT INTO event_head (epoch, seq) VALUES (1, 3)")
            let log = EventLog(database, publisher: .radioPlayout)
            let error = await #expect(throws: DatabaseError.self) {
                try await log.page(for: ReplayRequest(after: nil, ago: 0, limit: 10))
            }
            #expect(error?.isUnavailable == true)
        }
    }

    /// Commits transactions of others, until one has that number.
    private static func useTransactions(through number: Int64, of server: PostgresFixture) async throws {
        let others = Database(
            DatabaseConfiguration(url: server.url, schema: "others", connections: 1), logger: quiet)
        try await running([{ try await others.run() }]) {
            try await eventually("the number is used") {
                // `try?`: the connection is not there at first.
                let rows = try? await others.query("SELECT pg_current_xact_id()::text::bigint AS number")
                return try rows?.first?.decode("number", as: Int64.self) ?? 0 >= number
            }
        }
    }
}

extension Event {
    fileprivate init(station: String) {
        self.init(
            id: ULID(), type: "radio.now_playing", tenant: "default", room: station, publisher: .radioPlayout,
            time: .now, data: Array("{}".utf8))
    }
}
