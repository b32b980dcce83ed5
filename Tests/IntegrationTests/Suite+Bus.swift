import Bus
import Database
import Events
import TestSupport

extension Suite {
    /// Sends a command over the bus, as another process of the suite would.
    func call<C: Command>(_ command: C) async throws -> C.Answer {
        let events = self.port(C.service) + 1
        let endpoints = BusEndpoints(events: "tcp://127.0.0.1:\(events)", commands: "tcp://127.0.0.1:\(events + 1)")
        let client = CommandClient(endpoints: [C.service: endpoints], logger: quiet)
        return try await TestSupport.with(client) { try await client.call(command) }
    }
}

/// Auth's own tables, to see what it keeps and to move its clock.
enum AuthTables {
    @discardableResult
    static func query(_ url: String, _ query: Query) async throws -> [Row] {
        let database = Database(DatabaseConfiguration(url: url, schema: "auth", connections: 1), logger: quiet)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await database.run() }
            defer { group.cancelAll() }
            return try await database.query(query)
        }
    }
}
