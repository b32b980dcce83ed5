import Database
import Events

/// Authorization codes: good once, for a minute, for one client.
struct AuthorizationCodes: Sendable {
    /// What the user agreed to.
    struct Consent: Sendable {
        let client: String
        let user: String
        let redirectURI: String
        /// PKCE, S256.
        let challenge: String
        let tenant: String
        let station: String?
        let scopes: Scopes
    }

    struct Known: Sendable {
        let consent: Consent
        let isExpired: Bool
        let isUsed: Bool
        /// What it was exchanged for, unless that is gone.
        let session: String?
    }

    /// Thrown by `spend`: somebody else was faster.
    struct AlreadySpent: Error {}

    static let lifetime = Duration.seconds(60)

    static func issue(_ consent: Consent, _ mutation: Mutation) async throws -> String {
        let code = Secret(.authorizationCode)
        _ = try await mutation.query(
            """
            INSERT INTO authorization_codes (hash, client_id, user_id, redirect_uri, challenge, tenant, station, scope, expires_at)
            VALUES (\(code.hash), \(consent.client), \(consent.user), \(consent.redirectURI), \(consent.challenge),
                    \(consent.tenant), \(consent.station), \(consent.scopes.claim), \(Timestamp.now + Self.lifetime))
            """)
        return code.text
    }

    static func find(_ code: String, _ database: Database) async throws -> Known? {
        let rows = try await database.query(
            """
            SELECT client_id, user_id, redirect_uri, challenge, tenant, station, scope, session_id,
                expires_at <= now() AS is_expired, used_at IS NOT NULL AS is_used
            FROM authorization_codes WHERE hash = \(Secret.hash(code))
            """)
        guard let row = rows.first else { return nil }
        let consent = Consent(
            client: try row.decode("client_id"), user: try row.decode("user_id"),
            redirectURI: try row.decode("redirect_uri"), challenge: try row.decode("challenge"),
            tenant: try row.decode("tenant"), station: try row.decode("station"),
            scopes: Scopes(claim: try row.decode("scope")))
        return Known(
            consent: consent, isExpired: try row.decode("is_expired"), isUsed: try row.decode("is_used"),
            session: try row.decode("session_id"))
    }

    /// Marks a code as exchanged for a session, in the transaction that begins it.
    static func spend(_ code: String, for session: String, _ mutation: Mutation) async throws {
        let rows = try await mutation.query(
            """
            UPDATE authorization_codes SET used_at = now(), session_id = \(session)
            WHERE hash = \(Secret.hash(code)) AND used_at IS NULL AND expires_at > now() RETURNING hash
            """)
        guard !rows.isEmpty else { throw AlreadySpent() }
    }

    /// Removes those that ended a day ago: until then one that is shown again ends its session.
    static func forgetExpired(_ mutation: Mutation) async throws {
        _ = try await mutation.query("DELETE FROM authorization_codes WHERE expires_at < now() - interval '1 day'")
    }
}
