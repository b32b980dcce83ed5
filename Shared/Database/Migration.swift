/// A step in a schema's life: applied once, in order, in a transaction.
public struct Migration: Sendable, Hashable {
    /// `0001-initial`; unique in its schema, and never changed once it was released.
    public var name: String
    /// One or more statements.
    public var sql: String

    public init(name: String, sql: String) {
        self.name = name
        self.sql = sql
    }
}

/// Applies migrations on one connection. Any number of processes may do so at once: an advisory lock makes them take turns.
struct MigrationRunner {
    let configuration: DatabaseConfiguration
    /// Rebuilding a large table takes its time, and so does waiting for another process that does.
    private static let migrationMax = Duration.seconds(3600)

    func apply(_ migrations: [Migration], on connection: Connection) async throws(DatabaseError) {
        try await self.locked(connection) { () async throws(DatabaseError) in
            // A role that may not create schemas gets its schema from the operator, so look first.
            let schema = try await connection.run(
                "SELECT 1 FROM pg_namespace WHERE nspname = \(self.configuration.schema)")
            if schema.isEmpty { try await connection.execute("CREATE SCHEMA \(self.configuration.quotedSchema)") }
            try await connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())"
            )
        }
        for migration in migrations {
            try await self.locked(connection) { () async throws(DatabaseError) in
                guard try await connection.run("SELECT 1 FROM migrations WHERE name = \(migration.name)").isEmpty else {
                    return
                }
                try await connection.execute(migration.sql, timeout: Self.migrationMax)
                _ = try await connection.run("INSERT INTO migrations (name) VALUES (\(migration.name))")
            }
        }
    }

    /// A transaction that holds the schema's migration lock.
    private func locked(
        _ connection: Connection, _ body: () async throws(DatabaseError) -> Void
    ) async throws(DatabaseError) {
        try await connection.execute(
            """
            BEGIN; SET LOCAL statement_timeout TO 0; SET LOCAL client_min_messages TO warning;
            SELECT pg_advisory_xact_lock(\(self.configuration.lockKey("migrations")))
            """, timeout: Self.migrationMax)
        do {
            try await body()
            try await connection.execute("COMMIT")
        } catch {
            // `try?`: a connection on which even this fails is closed, and the server rolls back.
            _ = try? await connection.execute("ROLLBACK")
            throw error
        }
    }
}
