import Database
import Logging

extension Suite {
    /// Asks a suite's database directly, for what no API shows.
    @discardableResult
    static func query(_ url: String, schema: String = "auth", _ query: Query) async throws -> [Row] {
        let database = Database(
            DatabaseConfiguration(url: url, schema: schema, connections: 1), logger: Logger(label: "test"))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await database.run() }
            defer { group.cancelAll() }
            return try await database.query(query)
        }
    }
}
