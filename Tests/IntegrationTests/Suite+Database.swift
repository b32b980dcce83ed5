import Database
import Logging

extension Suite {
    /// Runs the body in the midst of a transaction of the suite's database that began with a statement.
    static func holding(_ url: String, _ statement: Query, _ body: @Sendable () async throws -> Void) async throws {
        let database = Database(
            DatabaseConfiguration(url: url, schema: "public", connections: 1), logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await database.run() }
            defer { group.cancelAll() }
            try await database.transaction { transaction in
                _ = try await transaction.query(statement)
                try await body()
            }
        }
    }

    /// Asks a suite's database directly, for what no API shows.
    @discardableResult
    static func query(
        _ url: String, schema: String = "auth", timeout: Duration = .seconds(10), _ query: Query
    ) async throws -> [Row] {
        let database = Database(
            DatabaseConfiguration(url: url, schema: schema, connections: 1, statementTimeout: timeout),
            logger: Logger(label: "test"))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await database.run() }
            defer { group.cancelAll() }
            return try await database.query(query)
        }
    }
}
