public import Logging
public import ServiceLifecycle

/// Runs services around a test, and shuts them down in order.
public func with<Result: Sendable>(
    _ services: any Service..., body: @Sendable () async throws -> Result
) async throws -> Result {
    let group = ServiceGroup(services: services, logger: quiet)
    return try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await group.run() }
        let result: Result
        do {
            result = try await body()
        } catch {
            await group.triggerGracefulShutdown()
            throw error
        }
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
        return result
    }
}

/// Logs nothing.
public let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A condition that did not come in time.
public struct DidNotHappen: Error {
    public let limit: Duration
}

/// Waits for a condition. Throws `DidNotHappen` when it does not come.
public func eventually(within limit: Duration = .seconds(30), _ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + limit
    while !condition() {
        guard ContinuousClock.now < deadline else { throw DidNotHappen(limit: limit) }
        try await Task.sleep(for: .milliseconds(5))
    }
}
