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

    /// Returns the principal if it may give a command on a connection, or (`nil`) on any. Otherwise writes the refusal down, and
    /// throws 401 or 403. Called before the body is read, so that whoever may not give the command learns nothing about bodies.
    @discardableResult
    func authorize(
        _ command: String, _ scope: Scope, on connection: String?, _ context: APIContext, details: JSON = [:]
    ) async throws -> Principal {
        let principal = try context.requirePrincipal()
        let isAllowed =
            connection.map { principal.permits(scope, on: .obsConnection($0)) } ?? principal.permitsSomewhere(scope)
        guard !isAllowed else { return principal }
        let failure = APIFailure(lacking: scope, principal)
        let now = Timestamp.now
        var entry = Entry(command, on: connection, by: principal, from: context.clientAddress, details, at: now)
        (entry.outcome, entry.error) = ("refused", failure.message)
        try await self.record(entry, tenant: principal.tenant, at: now)
        throw failure
    }

    /// Carries a command out for a principal that has the scope on the connection.
    /// - Parameter details: what was asked for, without secrets.
    func carryOut<R: Sendable>(
        _ command: String, _ scope: Scope, on connection: String, _ context: APIContext, details: JSON = [:],
        _ body: @Sendable (Principal) async throws -> R
    ) async throws -> R {
        let principal = try await self.authorize(command, scope, on: connection, context, details: details)
        let now = Timestamp.now
        let entry = Entry(command, on: connection, by: principal, from: context.clientAddress, details, at: now)
        try await self.record(entry, tenant: principal.tenant, at: now)
        do {
            let result = try await body(principal)
            try await self.finish(entry.id, now, "done", nil)
            return result
        } catch {
            // `try?`: it stays as started, which says that nobody knows.
            try? await self.finish(entry.id, now, "failed", Studio.reason(error))
            throw error
        }
    }

    private func record(_ entry: Entry, tenant: String, at now: Timestamp) async throws {
        try await self.partitions.ensure(now)
        // Postgres stores no NUL, and what holds one is refused anyway.
        let details = String(decoding: entry.details.bytes, as: UTF8.self).contains("\\u0000") ? [:] : entry.details
        try await self.writer.write { mutation in
            _ = try await mutation.query(
                """
                INSERT INTO commands (id, time, tenant, connection, command, actor, credential, address, details, outcome, error)
                VALUES (\(entry.id), \(now), \(tenant), \(entry.connection), \(entry.command), \(entry.actor),
                    \(entry.credential), \(entry.address), \(details), \(entry.outcome), \(entry.error))
                """)
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

extension CommandAudit.Entry {
    /// A command that is about to be carried out.
    fileprivate init(
        _ command: String, on connection: String?, by principal: Principal, from address: String, _ details: JSON,
        at now: Timestamp
    ) {
        self.init(
            id: ULID(at: now).text, time: now.iso8601, connection: connection, command: command,
            actor: principal.subject, credential: principal.credentialID, address: address, outcome: "started",
            error: nil, details: details)
    }
}
