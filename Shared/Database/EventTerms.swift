internal import Events

/// The terms of a log's writers, as they are stored beside it: each activation begins one. They tell where a reader goes on who knows
/// the log from an earlier writer.
enum EventTerms {
    /// How many are kept: a writer that is activated again and again must not fill the table.
    static let max = 10_000

    /// Begins a term and returns where the log ends. The number is higher than any that the log knows; and because it is not lower than
    /// the clock's milliseconds, it is none that the log knew before it was restored.
    static func begin(at moment: Timestamp, on connection: Connection) async throws(DatabaseError) -> Position {
        let rows = try await connection.run(
            """
            WITH head AS (
                UPDATE event_head SET term = greatest(
                    term + 1, (SELECT max(term) + 1 FROM event_terms), \(moment.milliseconds))
                RETURNING epoch, term, seq),
            begun AS (
                INSERT INTO event_terms (term, epoch, first, began) SELECT term, epoch, seq + 1, \(moment) FROM head)
            SELECT epoch, term, seq FROM head
            """)
        guard let row = rows.first else { throw .decoding("event_head is empty") }
        return try Position(row)
    }

    /// Forgets the terms that ended before that moment, and all but the last `max`.
    static func drop(before moment: Timestamp, on connection: Connection) async throws(DatabaseError) {
        _ = try await connection.run(
            """
            DELETE FROM event_terms WHERE term < greatest(
                (SELECT term FROM event_terms WHERE began < \(moment) ORDER BY term DESC LIMIT 1),
                (SELECT term FROM event_terms ORDER BY term DESC OFFSET \(Self.max - 1) LIMIT 1))
            """)
    }
}
