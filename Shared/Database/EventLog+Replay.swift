public import Events

extension EventLog {
    /// How much earlier a page begins than the asker says: an event is stamped before it is committed, and travels.
    private static let margin = Duration.seconds(1)
    /// A longer `ago` is read as this.
    private static let agoMax = Duration.seconds(10 * 365 * 86_400)

    /// Returns the page that a follower asks for. It continues where the follower stands, or where what it knows of this log ends, if the
    /// log knows its term; else it begins at the moment of its last contact.
    ///
    /// - Throws: `unavailable` before the log's first writer.
    public func page(for request: ReplayRequest) async throws(DatabaseError) -> ReplayPage {
        let rows = try await self.rows(of: .replay(request, at: .now))
        guard let first = rows.first else { throw .unavailable("the log has not begun") }
        let head = Position(
            epoch: UInt64(bitPattern: try first.decode("epoch", as: Int64.self)),
            term: UInt64(bitPattern: try first.decode("term", as: Int64.self)),
            seq: UInt64(bitPattern: try first.decode("head", as: Int64.self)))
        var page = ReplayPage(
            head: head, after: UInt64(bitPattern: try first.decode("after", as: Int64.self)),
            isContinuation: try first.decode("is_continuation"), events: [])
        // Without an event there is one row for the head.
        for row in rows where try row.decode("seq", as: Int64?.self) != nil { page.events.append(try self.event(row)) }
        return page
    }

    /// One statement: the head, the terms and the events are of one moment, also when the database is replaced meanwhile. Term 0 is that
    /// of a log whose first writer is about to begin.
    static func query(for request: ReplayRequest, at now: Timestamp) -> Query {
        let after = request.after ?? Position(epoch: 0, term: 0, seq: 0)
        let ago = min(max(.zero, .milliseconds(request.ago)), Self.agoMax)
        // A number in the text, so that every plan is made for so many rows.
        let limit = min(max(1, request.limit), Self.pageMax)
        return """
            WITH log AS (
                SELECT epoch, term, seq AS head, CASE
                    WHEN epoch <> \(Int64(bitPattern: after.epoch)) THEN NULL
                    WHEN term = \(Int64(bitPattern: after.term)) THEN seq
                    ELSE (
                        SELECT coalesce(
                            (SELECT later.first - 1 FROM event_terms AS later
                                WHERE later.term > asked.term ORDER BY later.term LIMIT 1),
                            event_head.seq)
                        FROM event_terms AS asked
                        WHERE asked.term = \(Int64(bitPattern: after.term)) AND asked.epoch = event_head.epoch)
                    END AS shared
                FROM event_head WHERE term > 0),
            start AS MATERIALIZED (
                SELECT epoch, term, head, shared IS NOT NULL AS is_continuation, CASE
                    WHEN shared IS NOT NULL THEN least(\(Int64(clamping: after.seq)), shared)
                    ELSE coalesce(
                        (SELECT seq - 1 FROM event_log WHERE logged >= \(now - ago - Self.margin)
                            ORDER BY logged, seq LIMIT 1),
                        head)
                    END AS after
                FROM log)
            SELECT start.*, page.* FROM start LEFT JOIN LATERAL (
                SELECT seq, id, type, tenant, room, time, data FROM (
                    SELECT *, sum(octet_length(data)) OVER (ORDER BY seq) - octet_length(data) AS bytes_before
                    FROM (
                        SELECT * FROM event_log WHERE seq > start.after
                        ORDER BY seq LIMIT \(unescaped: "\(limit)")
                    ) AS found
                ) AS counted WHERE bytes_before < \(Self.pageBytesMax)
            ) AS page ON true ORDER BY page.seq
            """
    }
}
