import Database
import Events
import Foundation
import TestSupport
import Testing

/// `GET /v1/events` over a log of many: whatever is asked for is found, and nothing else. `CROSSPOINT_EVENTS=1000000` makes it so many; what
/// each question took is printed.
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

    /// The same in Postgres: one event every so many milliseconds from `start`.
    private static func fill(_ url: String, own: String, other: String, from start: Timestamp, every: Int) async throws
    {
        let types = Entry.types
        _ = try await Suite.query(
            url, schema: "stream_metrics",
            """
            INSERT INTO event_log (seq, id, type, tenant, room, time, logged, data)
            SELECT n, '01' || lpad(upper(to_hex(n)), 24, '0'),
                CASE WHEN n % 4999 = 0 THEN 'stream.ended' ELSE (\(types)::text[])[n % 4 + 1] END,
                CASE WHEN n % 10 <> 0 THEN \(own)::text ELSE \(other)::text END,
                CASE WHEN n % 9973 = 0 THEN 'rare' ELSE 'room-' || n % 500 END,
                \(start)::timestamptz + n * make_interval(secs => \(Double(every) / 1000)), now(), '{"number":' || n || '}'
            FROM generate_series(1, \(Self.count)::integer) AS n
            """)
        _ = try await Suite.query(url, schema: "stream_metrics", "UPDATE event_head SET seq = \(Self.count)")
        _ = try await Suite.query(url, schema: "stream_metrics", "ANALYZE event_log")
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
                try await Self.fill(url, own: own, other: other, from: start, every: every)
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
