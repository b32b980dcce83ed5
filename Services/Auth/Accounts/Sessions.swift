import Access
import Database
import Events
import ServiceKit

/// Sign-ins and authorizations: access tokens, and refresh tokens that are exchanged for new ones.
///
/// A refresh token counts once. One that is shown a second time was stolen, or its successor was: its session ends (RFC 9700 §4.14.2).
struct Sessions: Sendable {
    let database: Database
    let writer: EventWriter
    let keys: SigningKeys
    let trail: AuditTrail

    struct Issued: Sendable {
        let accessToken: String
        /// Seconds.
        let expiresIn: Int
        let refreshToken: String
        let scopes: Scopes
        let session: String
    }

    enum TokenFormat: String, Sendable { case opaque, jwt }

    /// Begins a session and issues its first tokens.
    /// - Parameters:
    ///   - scopes: no more than the user has there; see `User.grant`.
    ///   - client: the OAuth2 client; `nil`: a sign-in with a password.
    ///   - also: more changes of the same transaction, given the session's id, for example to mark an authorization code as used.
    func begin(
        _ user: User, tenant: String, station: String? = nil, scopes: Scopes, client: String? = nil,
        format: TokenFormat = .jwt, address: String,
        also: @escaping @Sendable (Mutation, String) async throws -> Void = { _, _ in }
    ) async throws -> Issued {
        throw APIFailure.unavailable("Sessions are not there yet")
    }

    /// Exchanges a refresh token. Throws 400 (`invalid_grant`) for one that is unknown, used (then its session ends), of another client or
    /// ended, or whose user is disabled; the new scopes are those of the session that the user still has.
    /// - Parameter scopes: fewer than the session's; `nil`: all. More is 400 (`invalid_scope`).
    func refresh(
        _ token: String, client: String?, scopes: Scopes? = nil, format: TokenFormat = .jwt, address: String
    ) async throws -> Issued {
        throw APIFailure.unavailable("Sessions are not there yet")
    }

    /// Ends the session that a refresh token belongs to, and revokes its tokens. `false`: unknown, or of another client.
    func revoke(refreshToken: String, client: String?) async throws -> Bool { false }

    /// Ends a session and revokes its tokens.
    func revoke(_ session: String, reason: String, _ mutation: Mutation) async throws {}
}
