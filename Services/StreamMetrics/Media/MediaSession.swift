import Database
import Events
import ForeignMessages

/// Somebody who publishes or plays at a media server.
struct MediaSession: Sendable {
    typealias Role = MediaRole

    /// What says that it began or ended.
    enum Source: String, Sendable {
        case hook, statistics
        /// The server's own log of sessions.
        case log
        /// It could not be asked for too long.
        case silence
    }

    /// What tells it from others.
    struct Key: Sendable, Hashable {
        let role: Role
        let session: String
        let name: String
    }

    let id: Int64
    let server: String
    let key: Key
    /// The stream that it feeds or shows.
    let stream: String?
    let viewer: String?
    let startedAt: Timestamp
    let seenAt: Timestamp

    init(_ row: Row) throws(DatabaseError) {
        guard let role = Role(rawValue: try row.decode("role")) else {
            throw .decoding("a media session's role is not one of ours")
        }
        self.id = try row.decode("id")
        self.server = try row.decode("server")
        self.key = Key(role: role, session: try row.decode("session"), name: try row.decode("name"))
        self.stream = try row.decode("stream")
        self.viewer = try row.decode("viewer")
        self.startedAt = try row.decode("started_at")
        self.seenAt = try row.decode("seen_at")
    }
}

/// That a session begins.
struct MediaBeginning: Sendable {
    let server: String
    let key: MediaSession.Key
    var at: Timestamp
    var by: MediaSession.Source
    /// When that was so: a server's statistics are of a moment ago.
    var asOf: Timestamp
    var address: String?
    var agent: String?
}
