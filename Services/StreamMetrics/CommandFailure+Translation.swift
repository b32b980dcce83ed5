import Database
import Events
import HTTPTypes
import ServiceKit

extension CommandFailure {
    /// Says what could not be done in the bus's words.
    static func translating<Answer>(_ body: () async throws -> Answer) async throws -> Answer {
        do {
            return try await body()
        } catch let error as DatabaseError {
            switch error {
            case .unavailable, .notActiveWriter: throw CommandFailure(.unavailable, "The database is not available")
            case .outcomeUnknown: throw CommandFailure(.deadlineExceeded, "The outcome is not known")
            default: throw error
            }
        } catch let failure as APIFailure {
            switch failure.status.code {
            case 404: throw CommandFailure(.notFound, failure.message)
            case 409: throw CommandFailure(.conflict, failure.message)
            default: throw CommandFailure(.invalid, failure.message)
            }
        }
    }
}
