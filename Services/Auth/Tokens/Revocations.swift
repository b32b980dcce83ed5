import Database
import Events

extension Mutation {
    /// Says to everybody, now and later, that what the revocation names counts no longer.
    func revoke(_ revocation: CredentialRevoked, tenant: String) async throws {
        _ = try await self.query(
            """
            INSERT INTO revocations (kind, id, concerns_until, forgotten_at)
            VALUES (\(revocation.kind.rawValue), \(revocation.id), \(revocation.before), \(revocation.until))
            """)
        self.emit(Event(revocation, tenant: tenant, publisher: .auth))
    }
}

/// Everything that was revoked and can still concern a credential.
struct Revocations {
    let database: Database
    let writer: EventWriter

    private static let pageSize = 1000
    /// Clocks differ, and a verifier allows for it: what has ended is still named for a while.
    private static let grace = Duration.seconds(600)

    /// Answers `FetchRevocations`. Throws `CommandFailure.unavailable` without the database.
    func page(after: Int64) async throws -> FetchRevocations.Answer {
        // Before the rows are read: if another term begins meanwhile, the next answer says so.
        let term = self.writer.head?.term
        do {
            let rows = try await self.database.query(
                """
                SELECT number, kind, id, concerns_until, forgotten_at FROM revocations
                WHERE number > (SELECT CASE WHEN \(after) > coalesce(max(number), 0) THEN 0 ELSE \(after) END FROM revocations)
                    AND (forgotten_at IS NULL OR forgotten_at > now() - \(Self.grace.milliseconds) * interval '1 millisecond')
                ORDER BY number LIMIT \(Self.pageSize + 1)
                """)
            let page = rows.prefix(Self.pageSize)
            let revocations = try page.compactMap { row -> CredentialRevoked? in
                guard let kind = CredentialRevoked.Kind(rawValue: try row.decode("kind")) else { return nil }
                return CredentialRevoked(
                    kind: kind, id: try row.decode("id"), before: try row.decode("concerns_until"),
                    until: try row.decode("forgotten_at"))
            }
            let last = try page.last?.decode("number", as: Int64.self) ?? after
            return FetchRevocations.Answer(
                revocations: revocations, last: last, hasMore: rows.count > Self.pageSize, term: term)
        } catch let error as DatabaseError {
            throw CommandFailure(.unavailable, "\(error)")
        }
    }

    /// Removes what concerns nothing any longer, but for the newest, which keeps the numbers from starting anew.
    func forget() async throws {
        _ = try await self.writer.write { mutation in
            try await mutation.query(
                """
                DELETE FROM revocations WHERE forgotten_at < now() - \(Self.grace.milliseconds * 2) * interval '1 millisecond'
                    AND number < (SELECT max(number) FROM revocations)
                """)
        }
    }
}
