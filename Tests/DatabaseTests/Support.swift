import Database
import Events
import Logging
import TestSupport
import Testing

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs `body` while `services` run, and cancels them at its end.
func running<R: Sendable>(
    _ services: [@Sendable () async throws -> Void], _ body: @Sendable () async throws -> R
) async throws -> R {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for service in services { group.addTask { try await service() } }
        let value = try await body()
        group.cancelAll()
        return value
    }
}

/// A started, migrated pool on a fresh database.
func withDatabase<R: Sendable>(
    migrations: [Migration] = [], connections: Int = 4, _ body: @Sendable (Database) async throws -> R
) async throws -> R {
    try await PostgresFixture.withDatabase { url in
        let database = Database(
            DatabaseConfiguration(url: url, schema: "test", connections: connections), migrations: migrations,
            logger: quiet)
        return try await running([{ try await database.run() }]) {
            try await eventually("ready") { database.isReady }
            return try await body(database)
        }
    }
}

struct Late: Error { let what: String }

/// Waits for a condition, for at most 20 s.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw Late(what: what) }
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// Things in the order they came.
actor Collected<Item: Sendable> {
    private(set) var items: [Item] = []

    func add(_ more: [Item]) { self.items += more }
}
