public enum DatabaseError: Error, Sendable, Hashable {
    /// No connection, a lost one, or a server that cannot serve now. Nothing was changed; the same call may succeed later.
    case unavailable(String)
    /// The connection was lost during COMMIT, and what became of the transaction could not be found out.
    case outcomeUnknown(String)
    case uniqueViolation(constraint: String)
    case foreignKeyViolation(constraint: String)
    case checkViolation(constraint: String)
    /// Any other refusal by the server.
    case query(sqlState: String, message: String)
    /// A column is missing, or holds something else than was asked for.
    case decoding(String)
    /// Another process is this service's writer; this one stands by.
    case notActiveWriter

    /// What the server said, as one of our cases.
    init(sqlState: String, message: String, constraint: String) {
        switch sqlState {
        case "23505": self = .uniqueViolation(constraint: constraint)
        case "23503": self = .foreignKeyViolation(constraint: constraint)
        case "23514": self = .checkViolation(constraint: constraint)
        // 08: the connection; 53: out of connections, memory or disk; 57P: shutting down or starting up; 25006: a replica
        // that was not promoted yet.
        case _ where sqlState.hasPrefix("08") || sqlState.hasPrefix("53") || sqlState.hasPrefix("57P"),
            Self.cancelled, "25006":
            self = .unavailable("\(sqlState) \(message)")
        default: self = .query(sqlState: sqlState, message: message)
        }
    }

    /// The state of a statement that the server ended, by our statement timeout.
    private static let cancelled = "57014"

    /// Whether the server ended the statement because it took longer than `DatabaseConfiguration.statementTimeout`.
    public var isTimeout: Bool {
        if case .unavailable(let reason) = self { reason.hasPrefix(Self.cancelled) } else { false }
    }

    /// Whether the call may succeed later, unchanged.
    public var isUnavailable: Bool {
        if case .unavailable = self { true } else { false }
    }
}
