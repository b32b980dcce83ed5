import Database
import HTTPTypes
import ServiceKit

/// How many access tokens of one client may be valid by their time, for itself and for each user: one user must not use up what all the
/// others of a client have. One that is given back counts until then: each is an entry in every
/// process's list of revocations, and whoever fills that list pushes out the entries of others.
struct TokenBound: Sendable {
    let trail: AuditTrail

    private static let tokensMax = 5000
    private static let pause = 60

    /// Throws 429 (`temporarily_unavailable`) for a client that has as many, before one more is issued in the same transaction.
    func requireRoom(for client: String, of subject: String, tenant: String, address: String, _ mutation: Mutation)
        async throws
    {
        let rows = try await mutation.query(
            """
            SELECT 1 FROM access_tokens WHERE client_id = \(client) AND subject = \(subject) AND expires_at > now()
            OFFSET \(Self.tokensMax - 1) LIMIT 1
            """)
        guard !rows.isEmpty else { return }
        self.trail.note(
            AuditEntry(
                "token.issue", .refused, tenant: tenant, actor: client, address: address, target: client,
                reason: "too many tokens"))
        throw APIFailure(
            .tooManyRequests, "The client has \(Self.tokensMax) access tokens that have not ended",
            headers: [.retryAfter: "\(Self.pause)"])
    }
}
