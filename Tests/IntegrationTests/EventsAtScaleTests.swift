import Database
import Events
import Foundation
import TestSupport
import Testing

/// A log of many events: whatever `GET /v1/events` is asked for is found, and nothing else, and a gateway that starts beside it hears its
/// publisher. `CROSSPOINT_EVENTS=24000000` makes it so many; what each question took is printed.
@Suite("Events at scale", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct EventsAtScaleTests {
    private static let count = ProcessInfo.processInfo.environment["CROSSPOINT_EVENTS"].flatMap { Int($0) } ?? 50_000

    /// One event of the log, by its number.
    private struct Entry {
        let seq: Int
        var room: String { self.seq % 9973 == 0 ? "rare" : "room-\(self.seq % 500)" }
        var type: String { self.seq % 4999 == 0 ? "stream.ended" : Self.types[self.seq % 4] }
        var isOwn: Bool { self.seq % 10 != 0 }

        static let types = ["chat.message", "viewer.joined", "viewer.left", "reaction.received"]
    }

    /// The same in Postgres: one event every so many milliseconds from `start`, which is less than a day ago.
    private static func fill(
        _ url: String, schema: String, count: Int = Self.count, own: String, other: String, from start: Timestamp,
        every: Int
    ) async throws {
        let types = Entry.types
        @discardableResult func query(_ query: Query) async throws -> [Row] {
            try await Suite.query(url, schema: schema, timeout: .seconds(1500), query)
        }
        try await query(
            """
            DO $$ BEGIN EXECUTE format(
                'CREATE TABLE IF NOT EXISTS event_log_%s PARTITION OF event_log FOR VALUES FROM (%L) TO (%L)',
                to_char(current_date - 1, 'YYYYMMDD'), current_date - 1 || ' 00:00+00', current_date || ' 00:00+00');
            END $$
            """)
        try await query(
            """
            INSERT INTO event_log (seq, id, type, tenant, room, time, logged, data)
            SELECT n, '01' || lpad(upper(to_hex(n)), 24, '0'),
                CASE WHEN n % 4999 = 0 THEN 'stream.ended' ELSE (\(types)::text[])[n % 4 + 1] END,
                CASE WHEN n % 10 <> 0 THEN \(own)::text ELSE \(other)::text END,
                CASE WHEN n % 9973 = 0 THEN 'rare' ELSE 'room-' || n % 500 END,
                moment, moment, '{"number":' || n || '}'
            FROM (
                SELECT n, \(start)::timestamptz + n * make_interval(secs => \(Double(every) / 1000)) AS moment
                FROM generate_series(1, \(count)::integer) AS n
            ) AS numbers
            """)
        try await query("UPDATE event_head SET seq = \(count)")
        try await query("ANALYZE event_log")
    }

    @Test
    func `a gateway that starts beside a long log hears its publisher at once, and does not read the log for that`()
        async throws
    {
        let count = max(Self.count, 100_000)
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth, .radioPlayout], gateways: 0, databaseURL: url) { suite in
                let token = try await suite.token()
                let station = try #require(
                    try await suite.request(
                        "POST", .radioPlayout, "/api/v1/stations", ["name": "One"], token: token)["id"]?.string)
                // The log's writer knows its end.
                try await suite.kill9(.radioPlayout)
                let start = Timestamp(milliseconds: Timestamp.now.milliseconds - 72_000_000)
                try await Self.fill(
                    url, schema: "radio_playout", count: count, own: "default", other: "other", from: start,
                    every: 72_000_000 / count)
                try suite.start(.radioPlayout)
                try await suite.waitUntilReady(.radioPlayout)
                /// How many scans of the log there were, and how many events they read.
                func reads() async throws -> (scans: Int, events: Int) {
                    let rows = try await Suite.query(
                        url, schema: "radio_playout",
                        """
                        SELECT sum(seq_scan + idx_scan)::bigint AS scans, sum(seq_tup_read + idx_tup_fetch)::bigint AS events
                        FROM pg_stat_user_tables WHERE schemaname = 'radio_playout' AND relname ~ '^event_log_2'
                        """)
                    let row = try #require(rows.first)
                    return (try row.decode("scans"), try row.decode("events"))
                }
                let before = try await reads()
                try suite.startGateway()
                try await suite.waitUntilGatewayHears([.radioPlayout])
                let client = try await suite.connect(3, "/api/v1/events?types=now_playing&token=\(token)")
                let track: JSON = ["station_id": .string(station), "title": "First"]
                let posted = ContinuousClock.now
                #expect(
                    try await suite.request(
                        "POST", .radioPlayout, "/api/v1/webhooks/track-start", track, token: token
                    ).status == 202)
                #expect(try await client.next()["payload"]?["title"] == "First")
                print("events at scale: \(count), the first event after \(ContinuousClock.now - posted)")
                try await Suite.eventually("Postgres has counted") { try await reads().scans > before.scans }
                #expect(try await reads().events - before.events < 10_000)
            }
        }
    }

    @Test func `a long log is asked by type, room, time and cursor`() async throws {
        try await PostgresFixture.withDatabase { url in
            try await Suite.with([.auth, .streamMetrics], databaseURL: url) { suite in
                let (own, other) = ("own-\(ULID().text.lowercased())", "other-\(ULID().text.lowercased())")
                let token = try await suite.token(tenant: own, scope: "*")
                // The log's writer knows its end.
                try await suite.kill9(.streamMetrics)
                let every = 72_000_000 / Self.count
                let start = Timestamp(milliseconds: Timestamp.now.milliseconds - 72_000_000)
                try await Self.fill(
                    url, schema: "stream_metrics", own: own, other: other, from: start, every: every)
                try suite.start(.streamMetrics)
                try await suite.waitUntilReady(.streamMetrics)

                let all = (1...Self.count).map(Entry.init)
                func moment(_ seq: Int) -> String {
                    Timestamp(milliseconds: start.milliseconds + Int64(seq * every)).iso8601
                }
                /// Asks until there is no more, and compares with what there is.
                func ask(
                    _ what: String, _ query: String, limit: Int = 1000, pagesMax: Int = 20,
                    token: String = token, _ isMeant: (Entry) -> Bool
                ) async throws {
                    let expected = all.filter(isMeant).map { Int64($0.seq) }
                    var (seen, cursor, pages, slowest): ([Int64], Int64?, Int, Duration) = ([], nil, 0, .zero)
                    repeat {
                        let begin = ContinuousClock.now
                        let after = cursor.map { "&after=\($0)" } ?? ""
                        let page = try await suite.page(
                            .streamMetrics, "limit=\(limit)&\(query)\(after)", token: token)
                        slowest = max(slowest, ContinuousClock.now - begin)
                        seen += page.events.compactMap { $0["seq"]?.double.map { Int64($0) } }
                        cursor = page.next
                        pages += 1
                    } while cursor != nil && pages < pagesMax
                    #expect(seen == Array(expected.prefix(cursor == nil ? Int.max : seen.count)), "\(what)")
                    print(
                        "events at scale: \(Self.count), \(what): \(seen.count) in \(pages) pages, slowest \(slowest)")
                }

                try await ask("a rare type", "type=stream.ended") { $0.isOwn && $0.type == "stream.ended" }
                try await ask("a rare room", "room=rare") { $0.isOwn && $0.room == "rare" }
                try await ask("a room", "room=room-77") { $0.isOwn && $0.room == "room-77" }
                try await ask("a type in a room", "room=room-77&type=viewer.joined") {
                    $0.isOwn && $0.room == "room-77" && $0.type == "viewer.joined"
                }
                let (from, to) = (Self.count / 2, Self.count / 2 + 700)
                try await ask("a range of time", "from=\(moment(from))&to=\(moment(to))") {
                    $0.isOwn && (from..<to).contains($0.seq)
                }
                try await ask("a room in a range", "room=room-77&from=\(moment(from))") {
                    $0.isOwn && $0.room == "room-77" && $0.seq >= from
                }
                try await ask("the end", "from=\(moment(Self.count - 50))", limit: 10) {
                    $0.isOwn && $0.seq >= Self.count - 50
                }
                try await ask("a room that is not", "room=nowhere") { _ in false }
                try await ask("a type that is not", "type=stream.nothing") { _ in false }
                try await ask("a type, page by page", "type=chat.message", limit: 100) {
                    $0.isOwn && $0.type == "chat.message"
                }
                try await ask("all, page by page", "") { $0.isOwn }
                try await ask("behind the end", "after=\(Self.count)") { _ in false }
                let stranger = try await suite.token(tenant: "stranger-\(ULID().text.lowercased())", scope: "*")
                try await ask("another's room", "room=room-77", token: stranger) { _ in false }
                try await ask("all, of a tenant without any", "", token: stranger) { _ in false }
            }
        }
    }
}
