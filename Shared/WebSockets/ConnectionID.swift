import NIOConcurrencyHelpers

/// Names a connection, unique in the process.
public struct ConnectionID: Hashable, Sendable, CustomStringConvertible {
    public let raw: UInt64

    private static let last = NIOLockedValueBox<UInt64>(0)

    public init(raw: UInt64) {
        self.raw = raw
    }

    /// The next one that nobody has had.
    public static func next() -> ConnectionID {
        self.last.withLockedValue { last in
            last += 1
            return ConnectionID(raw: last)
        }
    }

    public var description: String { String(self.raw) }
}
