import Database
import Events
import HTTPTypes
import ServiceKit

extension Principal {
    /// The latest end of a credential that this one makes: of a sign-in its session's, of every other credential its own. `nil`: none.
    func latestEnd(_ database: Database) async throws(DatabaseError) -> Timestamp? {
        guard self.isSignIn, let session = self.session else { return self.expires }
        let rows = try await database.query("SELECT expires_at FROM sessions WHERE id = \(session)")
        return try rows.first?.decode("expires_at", as: Timestamp.self) ?? self.expires
    }

    /// Whoever opens a connection with a ticket: the same rights, and not the sign-in itself.
    var ofTicket: Principal {
        var principal = self
        (principal.origin, principal.session) = (self.lineage, nil)
        return principal
    }

    /// Throws 403 unless a credential for the other may do nothing that this one may not. Every credential that is made on the word of
    /// another one is checked here, whatever was checked before.
    func requireCoverage(of other: Principal) throws(APIFailure) {
        guard self.covers(other) else {
            throw APIFailure(
                .forbidden, "The credential would have more rights than the asker's", details: ["reason": "authority"])
        }
    }
}

extension Timestamp {
    /// The same moment in whole seconds, rounded down: the end of a signed token is rounded up to one.
    var roundedDownToSecond: Timestamp { Timestamp(milliseconds: self.seconds * 1000) }
}
