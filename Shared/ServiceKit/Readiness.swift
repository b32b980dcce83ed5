import NIOConcurrencyHelpers

/// The dependencies of a process by name, and whether each is there now. `/readyz` and `./crosspoint status` show them.
public final class Readiness: Sendable {
    /// The state of a dependency.
    public enum Condition: Sendable, Hashable {
        case ready
        /// It is missing, and the process serves its clients without it.
        case degraded
        /// It is missing, and the process should not get new clients until it is there.
        case missing
    }

    /// The state of the process at one moment.
    public struct Status: Sendable, Equatable {
        /// The state of each dependency, by name.
        public let conditions: [String: Condition]

        /// Nothing is missing that the process cannot do without.
        public var isReady: Bool { !self.conditions.values.contains(.missing) }

        /// The dependencies that the process does without, in alphabetical order.
        public var degraded: [String] { self.conditions.filter { $0.value == .degraded }.keys.sorted() }

        /// Each dependency by name: there or not.
        public var dependencies: [String: Bool] { self.conditions.mapValues { $0 == .ready } }
    }

    private let checks = NIOLockedValueBox<[String: @Sendable () -> Condition]>([:])

    public init() {}

    /// Adds a dependency that the process is not ready without, for example `database`.
    /// - Parameter check: returns whether it is there. It is called often and must not block.
    public func require(_ name: String, _ check: @escaping @Sendable () -> Bool) {
        self.observe(name) { check() ? .ready : .missing }
    }

    /// Adds a dependency that the process can serve its clients without, for example `bus.radio-playout`.
    /// - Parameter check: returns its state. It is called often and must not block.
    public func observe(_ name: String, _ check: @escaping @Sendable () -> Condition) {
        self.checks.withLockedValue { $0[name] = check }
    }

    /// The state of the process now.
    public var status: Status {
        Status(conditions: self.checks.withLockedValue { $0 }.mapValues { $0() })
    }
}
