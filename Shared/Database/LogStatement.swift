internal import Events

/// A statement that reads `event_log`.
///
/// All of them are values and are listed here, so that a test can examine the plan of each: none may read more than a bounded number of
/// Postgres's pages, however long the log is. The limits that bound them are part of the text, because the planner expects a limit that
/// is a parameter to be a tenth of the table.
struct LogStatement {
    /// The kinds of statements; the test has examples of each.
    enum Kind: String, CaseIterable {
        case replay, search, firstSeq, lastLogged, outcome
    }

    let kind: Kind
    let query: Query

    private init(_ kind: Kind, _ query: Query) {
        self.kind = kind
        self.query = query
    }

    /// How many events of a tenant one statement examines for those that a filter asks for.
    static let searchMax = 5000

    /// Returns the page that a follower of the bus asks for.
    static func replay(_ request: ReplayRequest, at now: Timestamp) -> LogStatement {
        LogStatement(.replay, EventLog.query(for: request, at: now))
    }

    /// Returns the events of a tenant that match a filter, in order, from among the next `searchMax` of the tenant. The last of so
    /// many (`is_end`) is there whether it matches or not, to go on from.
    ///
    /// Only the index on tenant and `seq` has the order that is asked for, so whatever the statistics say about a tenant, no other tenant's events
    /// are read.
    static func search(_ filter: EventFilter) -> LogStatement {
        LogStatement(
            .search,
            """
            SELECT (SELECT epoch FROM event_head) AS epoch, (SELECT term FROM event_head) AS term,
                seq, id, type, tenant, room, time, data, is_match, is_end
            FROM (
                SELECT *, sum(octet_length(data)) OVER (ORDER BY tenant, seq) - octet_length(data) AS bytes_before
                FROM (
                    SELECT *, (\(filter.condition)) AS is_match,
                        row_number() OVER (ORDER BY tenant, seq) = \(unescaped: "\(Self.searchMax)") AS is_end
                    FROM (
                        SELECT * FROM event_log
                        WHERE (tenant, seq) > (\(filter.tenant), \(Int64(clamping: filter.after)))
                            AND tenant <= \(filter.tenant)
                        ORDER BY tenant, seq LIMIT \(unescaped: "\(Self.searchMax)")
                    ) AS examined
                ) AS searched WHERE is_match OR is_end LIMIT \(filter.limit)
            ) AS found WHERE bytes_before < \(EventLog.pageBytesMax) ORDER BY tenant, seq
            """)
    }

    /// Returns the number of the first event that was written at `moment` or later; no row if there is none.
    static func firstSeq(loggedSince moment: Timestamp) -> LogStatement {
        LogStatement(.firstSeq, "SELECT seq FROM event_log WHERE logged >= \(moment) ORDER BY logged, seq LIMIT 1")
    }

    /// Returns the moment at which the last event was written; NULL if the log is empty.
    static var lastLogged: LogStatement { LogStatement(.lastLogged, "SELECT max(logged) AS logged FROM event_log") }

    /// Returns what became of a transaction, and the id of the event that has the number of its last one.
    static func outcome(of transaction: String, lastSeq seq: Int64) -> LogStatement {
        LogStatement(
            .outcome,
            """
            SELECT pg_xact_status(\(transaction)::xid8) AS status,
                (SELECT id FROM event_log WHERE seq = \(seq) LIMIT 1) AS last
            """)
    }
}
