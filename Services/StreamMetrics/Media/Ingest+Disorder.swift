import Database
import Events
import ForeignMessages

/// What is said twice, in the wrong order, or not at all.
extension Ingest {
    /// A hook of a server that uses ids again, which repeats an earlier one or came ahead of it, is no later than this. Beyond, it
    /// means somebody new.
    private static let disorderMax = Duration.seconds(3)

    /// Whether it is known, or its end came first.
    static func isRepeated(
        _ beginning: MediaBeginning, isUnique: Bool, in mutation: Mutation
    ) async throws -> Bool {
        let known = Self.known(beginning, isUnique: isUnique)
        return try await !mutation.query("SELECT FROM media_sessions WHERE " + known + " LIMIT 1").isEmpty
    }

    /// The end that came before its beginning.
    static func endBefore(
        _ beginning: MediaBeginning, isUnique: Bool, in mutation: Mutation
    ) async throws -> (id: Int64, endedAt: Timestamp)? {
        guard beginning.by == .hook else { return nil }
        let known = Self.known(beginning, isUnique: isUnique)
        return try await mutation.query(
            "SELECT id, ended_at FROM media_sessions WHERE " + known + " AND stream IS NULL LIMIT 1"
        ).first.map { row throws(DatabaseError) in (try row.decode("id"), try row.decode("ended_at")) }
    }

    private static func known(_ beginning: MediaBeginning, isUnique: Bool) -> Query {
        let key = beginning.key
        let same: Query = """
            server = \(beginning.server) AND role = \(key.role.rawValue) AND session = \(key.session) AND name = \(key.name)
            """
        switch (beginning.by == .hook, isUnique) {
        case (true, true): return same
        case (true, false):
            let oldest = beginning.asOf - Self.disorderMax
            return same + " AND (ended_at IS NULL OR ended_at > \(oldest))"
        // Whoever has ended since stands in those statistics still; and an id that is used once has ended for good.
        case (false, _):
            let oldest = beginning.asOf - .seconds(1)
            return same
                + " AND (ended_at IS NULL OR ended_at > \(oldest) OR (\(isUnique) AND ended_by = 'hook'))"
        }
    }

    enum Stale {
        /// Of a stream that is not live: the id is somebody else's now.
        case sameID
        /// There is a new publisher under the name.
        case sameName
    }

    /// Ends those whose end was not heard of, though it is plain that they are gone. Returns whether there were any.
    @discardableResult
    static func endStale(
        _ beginning: MediaBeginning, _ stale: Stale, in mutation: Mutation
    ) async throws -> Bool {
        let key = beginning.key
        let oldest = beginning.at - Self.disorderMax
        var query: Query = """
            SELECT sessions.* FROM media_sessions AS sessions JOIN streams ON streams.id = stream
            WHERE server = \(beginning.server) AND role = 'publish' AND name = \(key.name) AND sessions.ended_at IS NULL
                AND sessions.started_at < \(oldest)
            """
        switch stale {
        case .sameID: query += " AND session = \(key.session) AND status <> 'live'"
        case .sameName: query += " AND session <> \(key.session)"
        }
        let sessions = try await mutation.query(query).map { row throws(DatabaseError) in try MediaSession(row) }
        for session in sessions { try await Self.end(session, at: session.seenAt, by: .silence, in: mutation) }
        return !sessions.isEmpty
    }
}
