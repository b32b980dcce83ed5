import Access
import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// Every command that somebody gave or was refused: written down before it is carried out, and with its outcome afterwards. While it
/// cannot be written down, nothing is carried out.
struct CommandAudit: Sendable {
    struct Entry: Sendable, Encodable {
        var id: String
        var time: String
        /// The connection's name; `null`: it is about none.
        var connection: String?
        var command: String
        var actor: String
        var credential: String
        var address: String
        var outcome: String
        var error: String?
        var details: JSON

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(self.id, forKey: .id)
            try container.encode(self.time, forKey: .time)
            try container.encode(self.connection, forKey: .connection)
            try container.encode(self.command, forKey: .command)
            try container.encode(self.actor, forKey: .actor)
            try container.encode(self.credential, forKey: .credential)
            try container.encode(self.address, forKey: .address)
            try container.encode(self.outcome, forKey: .outcome)
            try container.encode(self.error, forKey: .error)
            try container.encode(self.details, forKey: .details)
        }

        private enum CodingKeys: String, CodingKey {
            case id, time, connection, command, actor, credential, address, outcome, error, details
        }
    }

    private let database: Database
    private let writer: EventWriter
    private let partitions: DailyPartitions

    init(_ service: DomainService, retention: Duration) {
        self.database = service.database
        self.writer = service.writer
        self.partitions = DailyPartitions("commands", writer: service.writer, retention: retention)
    }

    /// Carries a command out for a principal that has the scope, on a connection or (`nil`) on what belongs to none.
    /// - Parameter details: what was asked for, without secrets.
    func carryOut<R: Sendable>(
        _ command: String, _ scope: Scope, on connection: String?, _ context: APIContext, details: JSON = [:],
        _ body: @Sendable (Principal) async throws -> R
    ) async throws -> R {
        let principal = try context.requirePrincipal()
        let isAllowed = connection.map { principal.scopes.contains(scope, on: $0) } ?? principal.scopes.contains(scope)
        let now = Timestamp.now
        let id = ULID(at: now).text
        try await self.partitions.ensure(now)
        let (outcome, error) = isAllowed ? ("started", nil) : ("refused", "The scope \(scope) is needed")
        let address = context.clientAddress
        // Postgres stores no NUL, and what holds one is refused anyway.
        let details = String(decoding: details.bytes, as: UTF8.self).contains("\\u0000") ? [:] : details
        try await self.writer.write { mutation in
            _ = try await mutation.query(
                """
                INSERT INTO commands (id, time, tenant, connection, command, actor, credential, address, details, outcome, error)
                VALUES (\(id), \(now), \(principal.tenant), \(connection), \(command), \(principal.subject),
                    \(principal.credentialID), \(address), \(details), \(outcome), \(error))
                """)
        }
        // Throws what the client is to hear.
        if !isAllowed { _ = try context.require(scope) }
        do {
            let result = try await body(principal)
            try await self.finish(id, now, "done", nil)
            return result
        } catch {
            // `try?`: it stays as started, which says that nobody knows.
            try? await self.finish(id, now, "failed", Studio.reason(error))
            throw error
        }
    }

    private func finish(_ id: String, _ time: Timestamp, _ outcome: String, _ error: String?) async throws {
        try await self.writer.write { mutation in
            _ = try await mutation.query(
                "UPDATE commands SET outcome = \(outcome), error = \(error) WHERE id = \(id) AND time = \(time)")
        }
    }

    /// The newest first, after the one with the id `before`.
    func list(tenant: String, connection: String?, limit: Int, before: String?) async throws -> [Entry] {
        try await self.database.query(
            """
            SELECT id, time, connection, command, actor, credential, address, outcome, error, details FROM commands
            WHERE tenant = \(tenant) AND (\(connection)::text IS NULL OR connection = \(connection))
                AND (\(before)::text IS NULL OR id < \(before))
            ORDER BY id DESC LIMIT \(limit)
            """
        ).map { row throws(DatabaseError) in
            Entry(
                id: try row.decode("id"), time: try row.decode("time", as: Timestamp.self).iso8601,
                connection: try row.decode("connection"), command: try row.decode("command"),
                actor: try row.decode("actor"), credential: try row.decode("credential"),
                address: try row.decode("address"), outcome: try row.decode("outcome"),
                error: try row.decode("error"), details: try row.decode("details"))
        }
    }

    func dropOld() async throws { try await self.partitions.dropOld() }
}
