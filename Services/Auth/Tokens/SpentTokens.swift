import Database
import Events

/// Tokens of other processes that count once, such as gateways' reconnect tokens: which were spent, and what was kept for those that
/// would be too long.
struct SpentTokens: Sendable {
    let writer: EventWriter

    /// Bytes.
    private static let contentMax = 256 * 1024
    private static let lifetimeMax = Duration.seconds(3600)

    /// Answers `KeepToken`.
    func keep(_ command: KeepToken) async throws {
        try Self.check(command.id, command.until)
        guard command.content.utf8.count <= Self.contentMax else {
            throw CommandFailure(.invalid, "at most \(Self.contentMax) bytes are kept")
        }
        let isKept = try await self.write { mutation in
            let rows = try await mutation.query(
                """
                INSERT INTO kept_tokens (id, content, expires_at)
                VALUES (\(command.id), \(command.content), \(command.until)) ON CONFLICT DO NOTHING RETURNING id
                """)
            return !rows.isEmpty
        }
        guard isKept else { throw CommandFailure(.conflict, "something is kept under this id") }
    }

    /// Answers `SpendToken`: whether this is the first time that the id is shown.
    func spend(_ command: SpendToken) async throws -> SpendToken.Answer {
        try Self.check(command.id, command.until)
        return try await self.write { mutation in
            let rows = try await mutation.query(
                """
                INSERT INTO spent_tokens (id, expires_at) VALUES (\(command.id), \(command.until))
                ON CONFLICT DO NOTHING RETURNING id
                """)
            guard !rows.isEmpty else { return SpendToken.Answer(isFirst: false) }
            let kept = try await mutation.query("DELETE FROM kept_tokens WHERE id = \(command.id) RETURNING content")
            return SpendToken.Answer(isFirst: true, content: try kept.first?.decode("content", as: String.self))
        }
    }

    /// Removes what ended an hour ago, when no clock can take it for valid.
    static func forgetExpired(_ mutation: Mutation) async throws {
        _ = try await mutation.query("DELETE FROM spent_tokens WHERE expires_at < now() - interval '1 hour'")
        _ = try await mutation.query("DELETE FROM kept_tokens WHERE expires_at < now() - interval '1 hour'")
    }

    private func write<Value: Sendable>(_ body: @escaping @Sendable (Mutation) async throws -> Value) async throws
        -> Value
    {
        do {
            return try await self.writer.write(body)
        } catch let error as DatabaseError {
            throw CommandFailure(.unavailable, "\(error)")
        }
    }

    private static func check(_ id: String, _ until: Timestamp) throws {
        guard Grant.isName(id), until <= .now + Self.lifetimeMax else {
            throw CommandFailure(.invalid, "the id must be 1 to 64 letters, digits, '-' or '_', and end within an hour")
        }
    }
}
