import Database
import Events

extension CommandFailure {
    /// Says what the database could not do in the bus's words.
    static func translating<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        do {
            return try await body()
        } catch let error as DatabaseError {
            switch error {
            case .unavailable, .notActiveWriter: throw CommandFailure(.unavailable, "The database is not available")
            case .outcomeUnknown: throw CommandFailure(.deadlineExceeded, "The outcome is not known")
            default: throw error
            }
        }
    }
}
