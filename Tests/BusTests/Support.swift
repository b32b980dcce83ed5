import Events
import Glibc
import Logging
import NIOConcurrencyHelpers
import ServiceLifecycle
import Testing

@testable import Bus

/// A random source that gives the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// What has arrived at a test, from any thread.
final class Collected<Item: Sendable>: Sendable {
    private let box = NIOLockedValueBox<[Item]>([])

    var items: [Item] { self.box.withLockedValue { $0 } }
    func add(_ items: some Sequence<Item>) { self.box.withLockedValue { $0.append(contentsOf: items) } }
    func add(_ item: Item) { self.box.withLockedValue { $0.append(item) } }
}

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

private let nextPort = NIOLockedValueBox(UInt16(20_000 + getpid() % 60 * 100))

/// A TCP address that is free, below the ports that the kernel gives to connections. Other test targets share the process and have other ranges.
func freeEndpoint() -> String {
    while true {
        let port = nextPort.withLockedValue { port in
            port = port < 25_999 ? port + 1 : 20_000
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

extension Event {
    /// A durable event at that place, or a transient one.
    static func test(
        _ seq: UInt64?, epoch: UInt64 = 1, publisher: ServiceName = .auth, data: [UInt8] = Array("{}".utf8)
    ) -> Event {
        Event(
            id: ULID(high: epoch, low: seq ?? 0), type: "test.happened", tenant: "default", room: "room/with/slashes",
            position: seq.map { Position(epoch: epoch, seq: $0) }, publisher: publisher,
            time: Timestamp(milliseconds: 1_700_000_000_123),
            data: data)
    }
}
