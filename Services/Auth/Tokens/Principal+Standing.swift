import Database
import Events
import HTTPTypes
import ServiceKit

extension Principal {
    /// Asks for `is_good`: an API key is in its own row; of a token nothing may be revoked that it depends on, its user, client,
    /// session, API key and signing key among it.
    var standing: Query {
        guard self.credential != .apiKey else {
            return """
                SELECT EXISTS (
                    SELECT 1 FROM api_keys
                    WHERE id = \(self.credentialID) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
                ) AS is_good
                """
        }
        return """
            SELECT NOT EXISTS (
                SELECT 1 FROM revocations
                WHERE (kind = 'token' AND id = \(self.credentialID)) OR (kind = 'client' AND id = \(self.client))
                    OR (kind IN ('session', 'apikey') AND id = \(self.lineage))
                    OR (kind = 'signing_key' AND id = \(self.signingKey))
                    OR (kind = 'user' AND id = \(self.subject)
                        AND (concerns_until IS NULL OR coalesce(\(self.issued), concerns_until) <= concerns_until))
            ) AS is_good
            """
    }
}

extension EventWriter {
    /// A change on somebody's word: it is made only if their credential still counts at that moment. It was judged when the request
    /// began, and the request may have taken its time since. Throws 401.
    /// - Parameter asker: `nil`: nobody but the process itself.
    func write<R: Sendable>(
        for asker: Principal?, _ body: @escaping @Sendable (Mutation) async throws -> R
    ) async throws -> R {
        try await self.write { mutation in
            if let asker, try await mutation.query(asker.standing).first?.decode("is_good") != true {
                throw APIFailure(
                    .unauthorized, "Unauthorized", headers: [.wwwAuthenticate: "Bearer error=\"invalid_token\""])
            }
            return try await body(mutation)
        }
    }
}
