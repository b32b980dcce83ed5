internal import NIOConcurrencyHelpers

/// The statements of one transaction; good until the body it was given to returns.
public final class Transaction: Sendable {
    private let connection: Connection
    private let hasEnded = NIOLockedValueBox(false)

    init(_ connection: Connection) { self.connection = connection }

    public func query(_ query: Query) async throws(DatabaseError) -> [Row] {
        guard !self.hasEnded.withLockedValue({ $0 }) else {
            throw .query(sqlState: "25P01", message: "the transaction has ended")
        }
        return try await self.connection.run(query)
    }

    func end() { self.hasEnded.withLockedValue { $0 = true } }
}
