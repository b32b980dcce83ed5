import NIOConcurrencyHelpers

/// What a process needs from others, by name, and whether it has it now. `/readyz` and `./crosspoint status` show it.
public final class Readiness: Sendable {
    private let checks = NIOLockedValueBox<[String: @Sendable () -> Bool]>([:])

    public init() {}

    /// Adds a dependency, for example `database` or `bus.auth`. The check is asked often and must not block.
    public func require(_ name: String, _ check: @escaping @Sendable () -> Bool) {
        self.checks.withLockedValue { $0[name] = check }
    }

    /// Each dependency by name, now.
    public var dependencies: [String: Bool] { self.checks.withLockedValue { $0 }.mapValues { $0() } }

    public var isReady: Bool { self.dependencies.values.allSatisfy(\.self) }
}
