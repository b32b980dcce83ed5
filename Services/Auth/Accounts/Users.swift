import Database
import Events
import HTTPTypes
import ServiceKit

/// The users, and who of them is at the door.
struct Users: Sendable {
    let database: Database
    let writer: EventWriter
    let trail: AuditTrail

    /// The user with that e-mail address and password. Throws 401 (`invalid_credentials`), 429 with `Retry-After` after too many
    /// failures of the account or the address, 503 without the database. Failures take as long as successes.
    func authenticate(email: String, password: String, address: String) async throws -> User {
        throw APIFailure(.unauthorized, code: "invalid_credentials", "The e-mail address or the password is wrong")
    }

    /// One who is not disabled.
    func user(_ id: String) async throws -> User? { nil }
}
