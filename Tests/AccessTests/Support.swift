import Glibc
import Logging
import NIOConcurrencyHelpers
import ServiceLifecycle
import Testing

/// Waits for a condition. Fails the test when it does not come.
func eventually(
    within limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation, _ condition: () -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("it did not happen within \(limit)", sourceLocation: sourceLocation)
            return
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}

/// Runs services around a test, and shuts them down in order.
func with<Result: Sendable>(
    _ services: any Service..., body: @Sendable () async throws -> Result
) async throws -> Result {
    let group = ServiceGroup(services: services, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
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

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

private let nextPort = NIOLockedValueBox(UInt16(26_000 + getpid() % 60 * 100))

/// A TCP address that is free, below the ports that the kernel gives to connections. Other test targets share the process and have other ranges.
func freeEndpoint() -> String {
    while true {
        let port = nextPort.withLockedValue { port in
            port = port < 31_999 ? port + 1 : 26_000
            return port
        }
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isFree = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if isFree { return "tcp://127.0.0.1:\(port)" }
    }
}
