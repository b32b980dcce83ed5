import Database
import DomainService
import Events
import Logging
import ServiceKit
import ServiceLifecycle

/// Chat lines: stored and said in one transaction, kept for a while.
struct Chat: Sendable {
    private let database: Database
    let writer: EventWriter
    private let cache: StreamCache
    private let limit: SenderLimit
    private let retention: Duration
    private let logger: Logger

    init(_ service: DomainService, cache: StreamCache, limit: SenderLimit, retention: Duration) {
        self.database = service.database
        self.writer = service.writer
        self.cache = cache
        self.limit = limit
        self.retention = retention
        self.logger = service.logger
    }

    /// Answers `SendChat`, after the commit.
    func send(_ command: SendChat) async throws -> SendChat.Answer {
        let sender = command.sender
        guard sender.permits(.streamsRead, on: .stream(command.stream)) else {
            throw CommandFailure(.forbidden, "The scope streams:read is needed")
        }
        if let problem = Self.problem(with: command.message) { throw CommandFailure(.invalid, problem) }
        try self.limit.take(sender)
        let (answer, finding) = try await self.writer.write { mutation in
            let finding = try await self.cache.find(command.stream, in: mutation)
            guard finding.entry.tenant == sender.tenant else {
                throw CommandFailure(.forbidden, "The stream belongs to somebody else")
            }
            guard finding.entry.status.takesChat else { throw CommandFailure(.conflict, "The stream has ended") }
            let moment = Timestamp.now
            let id = "msg_\(ULID(at: moment).text.lowercased())"
            _ = try await mutation.query(
                """
                INSERT INTO chat_messages (stream, id, tenant, user_id, username, message, sent_at)
                VALUES (\(command.stream), \(id), \(sender.tenant), \(sender.subject), \(sender.name), \(command.message), \(moment))
                """)
            let line = ChatMessage(
                streamID: command.stream, messageID: id, userID: sender.subject, username: sender.name,
                message: command.message, timestamp: moment)
            mutation.emit(
                Event(line, tenant: sender.tenant, room: command.stream, publisher: .streamMetrics, time: moment))
            return (SendChat.Answer(messageID: id), finding)
        }
        self.cache.keep(finding, as: command.stream)
        return answer
    }

    /// Whether this can be a line's id at all: `msg_` and a lower-case ULID.
    static func isID(_ text: some StringProtocol) -> Bool {
        text.hasPrefix("msg_") && text == text.lowercased() && ULID(text: text.dropFirst(4)) != nil
    }

    /// What keeps a text from being a chat line; `nil`: nothing.
    static func problem(with message: String) -> String? {
        if !(1...1000).contains(message.unicodeScalars.count) { return "message must have 1 to 1000 characters" }
        if message.utf8.contains(0) { return "message must not contain NUL characters" }
        return nil
    }

    /// A line, and what a moderator decided on it.
    struct Line: Sendable {
        let message: ChatMessage
        /// Of the decision; `null`: there is none.
        let moderation: JSON
    }

    /// Newest first, before the line with that id. Another tenant's stream has none.
    /// - Parameter moderation: only lines of that outcome; `nil`: all that are not blocked.
    func history(
        _ stream: String, tenant: String, limit: Int, before: String?, moderation: Moderation?
    ) async throws -> [Line] {
        let wanted: Query =
            moderation.map { "moderation = \($0.rawValue)" } ?? "moderation IS DISTINCT FROM 'blocked'"
        return try await self.database.query(
            """
            SELECT * FROM chat_messages
            WHERE stream = \(stream) AND tenant = \(tenant) AND (\(before)::text IS NULL
                OR seq < (SELECT seq FROM chat_messages WHERE id = \(before)::text AND stream = \(stream)))
                AND \(wanted)
            ORDER BY seq DESC LIMIT \(limit)
            """
        ).map { row in
            let message = ChatMessage(
                streamID: stream, messageID: try row.decode("id"), userID: try row.decode("user_id"),
                username: try row.decode("username"), message: try row.decode("message"),
                timestamp: try row.decode("sent_at"))
            guard let outcome: String = try row.decode("moderation") else {
                return Line(message: message, moderation: .null)
            }
            let (reason, moderator): (String?, String?) = (
                try row.decode("moderation_reason"), try row.decode("moderated_by")
            )
            let moderatedAt: Timestamp? = try row.decode("moderated_at")
            return Line(
                message: message,
                moderation: [
                    "outcome": .string(outcome), "reason": JSON(reason),
                    "moderated_by": JSON(moderator), "moderated_at": JSON(moderatedAt?.iso8601),
                ])
        }
    }

    /// Forgets old lines, a piece at a time so that the writer is never held up for long.
    var cleaning: any Service {
        PeriodicDuty(every: .seconds(60)) {
            let oldest = Timestamp.now - self.retention
            do {
                _ = try await self.writer.write { mutation in
                    try await mutation.query(
                        """
                        DELETE FROM chat_messages WHERE ctid = ANY(ARRAY(
                            SELECT ctid FROM chat_messages WHERE sent_at < \(oldest) LIMIT 5000))
                        """)
                }
            } catch {
                self.logger.info("Old chat lines were not deleted", metadata: ["error": "\(error)"])
            }
        }
    }
}
