import Access
import Database
import Events
import HTTPTypes
import ServiceKit

/// Sign-ins and authorizations: access tokens, and refresh tokens that are exchanged for new ones.
///
/// A refresh token counts once. One that is shown a second time was stolen, or its successor was: its session ends (RFC 9700 §4.14.2),
/// with the API keys and machine clients that were made in it.
/// Of two who show one at the same moment, the second counts as that too.
///
/// A bearer access token of a sign-in is accepted instead of a refresh token while it is the session's newest. The one that was just
/// replaced gets the same answer again on the same device, for half a minute: its answer may have been lost, or two tabs share it.
struct Sessions: Sendable {
    let database: Database
    let writer: EventWriter
    let keys: SigningKeys
    let trail: AuditTrail
    let limits: AttemptLimits
    let successors: SuccessorSeal

    struct Issued: Sendable, Codable {
        let accessToken: String
        /// Seconds.
        var expiresIn: Int
        let refreshToken: String
        let scopes: Scopes
        let session: String
    }

    /// Why a session is ended; the raw value is what the audit log says.
    enum EndReason: String {
        case reuse
        case codeShownTwice = "code shown twice"
        case givenBack = "given back"

        /// Whether somebody else may have had its tokens.
        var isTheft: Bool { self != .givenBack }
    }

    typealias TokenFormat = AccessTokens.Format

    /// After this a session is over, however often it was refreshed.
    static let lifetime = Duration.seconds(30 * 86_400)
    /// Of an access token of a sign-in, and of one that was issued to a client.
    static let signInSeconds = 900
    static let clientSeconds = 3600
    /// Seconds in which an access token that was just replaced gets the same answer again.
    private static let retrySeconds: Int64 = 30

    /// Begins a session and issues its first tokens. Throws 403 (`access_denied`) for a user who has no role there any longer, or who
    /// lost what they held since they were read.
    /// - Parameters:
    ///   - scopes: what is more than the user has there is left out; see `User.grant`.
    ///   - client: the OAuth2 client; `nil`: a sign-in with a password.
    ///   - also: more changes of the same transaction, given the session's id, for example to mark an authorization code as used.
    func begin(
        _ user: User, tenant: String, station: String? = nil, scopes: Scopes, client: String? = nil,
        format: TokenFormat = .jwt, address: String,
        also: @escaping @Sendable (Mutation, String) async throws -> Void = { _, _ in }
    ) async throws -> Issued {
        let (id, expires) = (ULID().text, Timestamp.now + Self.lifetime)
        return try await self.writer.write { mutation in
            guard let record = try await UserRecord.find(user.id, mutation), record.disabled == nil,
                record.user.generation == user.generation,
                let standing = record.user.grant(in: tenant, station: station)
            else { throw APIFailure(.forbidden, code: "access_denied", "The user has no access there") }
            let scopes = scopes.narrowed(to: standing.scopes)
            guard !scopes.all.isEmpty else {
                throw APIFailure(.forbidden, code: "access_denied", "The user has none of these scopes there")
            }
            _ = try await mutation.query(
                """
                INSERT INTO sessions (id, user_id, client_id, tenant, station, scope, expires_at, stations, roles, tier)
                VALUES (\(id), \(user.id), \(client), \(tenant), \(station), \(scopes.claim), \(expires),
                        \(standing.stations?.sorted()), \(standing.roles), \(record.user.tier.rawValue))
                """)
            try await also(mutation, id)
            let session = Session(
                id: id, user: record.user, client: client, tenant: tenant, station: station, scopes: scopes,
                expires: expires)
            let issued = try await self.issue(session, standing, scopes, format, address, mutation)
            try await mutation.audit(session.entry("token.issue", address))
            return issued
        }
    }

    /// Exchanges a refresh token. Throws 400 (`invalid_grant`) for one that is unknown, used (then its session ends), of another client or
    /// ended, or whose user is disabled, and 429 with `Retry-After` for an unknown one from an address that showed many. The new scopes
    /// are those of the session that the user still has.
    /// - Parameter scopes: fewer than the session's; `nil`: all. More is 400 (`invalid_scope`).
    func refresh(
        _ token: String, client: String?, scopes: Scopes? = nil, format: TokenFormat = .jwt, from device: Device
    ) async throws -> Issued {
        try await self.requireKnown(token, device.address)
        let hash = Secret.hash(token)
        return try await self.exchange(scopes, format, device) { mutation in
            guard let (session, isUsed) = try await Session.find(token: hash, mutation), session.client == client else {
                return .refused("unknown")
            }
            if isUsed {
                try await self.revoke(session.id, reason: .reuse, mutation)
                return .refused("reuse", session)
            }
            return .session(session)
        }
    }

    /// Exchanges the newest access token of a sign-in. The refresh token that the session has counts as used: there is only ever one.
    /// Throws 400 (`invalid_grant`) for a token that no sign-in itself issued, such as one that was made with a sign-in's, and for one that
    /// is no longer the newest: then its session ends.
    func refresh(presenting token: Principal, from device: Device) async throws -> Issued {
        guard token.isSignIn, let id = token.session else {
            throw self.refusal("not issued by a sign-in", nil, device.address)
        }
        return try await self.exchange(nil, .jwt, device) { mutation in
            guard let session = try await Session.find(id, mutation), session.client == nil else {
                return .refused("unknown")
            }
            return try await self.evaluate(token.credentialID, session, device, mutation)
        }
    }

    private func evaluate(_ token: String, _ session: Session, _ device: Device, _ mutation: Mutation) async throws
        -> Found
    {
        guard session.isOpen else { return .session(session) }
        let rows = try await mutation.query(
            """
            SELECT coalesce(newest_token = \(token), false) AS is_newest,
                extract(epoch FROM now() - replaced_at)::bigint AS age,
                CASE WHEN replaced_token = \(token) AND replaced_for = \(device.hash)
                    AND replaced_at > now() - \(Self.retrySeconds) * interval '1 second' THEN successor END AS successor
            FROM sessions WHERE id = \(session.id)
            """)
        if try rows.first?.decode("is_newest") == true { return .session(session) }
        if session.standing != nil, let sealed = try rows.first?.decode("successor", as: String?.self),
            var issued = self.successors.open(sealed, session: session.id)
        {
            issued.expiresIn -= Int(try rows.first?.decode("age", as: Int64?.self) ?? 0)
            return .repeated(issued, session)
        }
        try await self.revoke(session.id, reason: .reuse, mutation)
        return .refused("reuse", session)
    }

    /// Ends a session and revokes its tokens; if they were stolen, also the API keys and machine clients that were made in it.
    func revoke(_ session: String, reason: EndReason, _ mutation: Mutation) async throws {
        let ended = try await mutation.query(
            """
            UPDATE sessions SET revoked_at = now() WHERE id = \(session) AND revoked_at IS NULL RETURNING tenant, user_id
            """)
        guard let row = ended.first else { return }
        _ = try await mutation.query(
            """
            UPDATE access_tokens SET revoked_at = now()
            WHERE (session_id = \(session) OR origin = \(session)) AND revoked_at IS NULL
            """)
        let tenant = try row.decode("tenant", as: String.self)
        // `POST /v1/tokens` makes tokens that end with the session and live longer than its own.
        let until = Timestamp.now + .seconds(AccessTokens.lifetimeMax)
        try await mutation.revoke(CredentialRevoked(kind: .session, id: session, until: until), tenant: tenant)
        let entry = AuditEntry(
            "session.revoke", tenant: tenant, actor: try row.decode("user_id"), target: session,
            reason: reason.rawValue)
        try await mutation.audit(entry)
        if reason.isTheft { try await mutation.revokeMade(in: session, audit: entry) }
    }

    /// Removes those that nobody can refresh any longer.
    static func forgetEnded(_ mutation: Mutation) async throws {
        _ = try await mutation.query(
            "DELETE FROM sessions WHERE expires_at < now() - interval '1 day' OR revoked_at < now() - interval '1 day'")
        _ = try await mutation.query("DELETE FROM browser_sessions WHERE expires_at < now()")
    }

    /// Removes the answers that no retry gets any longer.
    static func forgetSuccessors(_ database: Database, _ writer: EventWriter) async throws {
        let isOver: Query =
            "successor IS NOT NULL AND replaced_at <= now() - \(Self.retrySeconds) * interval '1 second'"
        // Mostly there is none, and then nothing is written.
        guard try await !database.query("SELECT 1 FROM sessions WHERE \(isOver) LIMIT 1").isEmpty else { return }
        try await writer.write { mutation in
            _ = try await mutation.query("UPDATE sessions SET successor = NULL WHERE \(isOver)")
        }
    }

    // MARK: exchange

    /// Keeps from the one writer what anybody can send.
    private func requireKnown(_ token: String, _ address: String) async throws {
        if Self.isRefreshToken(token) {
            let rows = try await self.database.query(
                "SELECT 1 FROM refresh_tokens WHERE hash = \(Secret.hash(token))")
            if !rows.isEmpty { return }
        }
        if let seconds = self.limits.retryAfter(address) {
            self.trail.note(AuditEntry("session.refresh", .refused, address: address, reason: "throttled"))
            throw APIFailure(
                .tooManyRequests, "Too many wrong credentials from this address", headers: [.retryAfter: "\(seconds)"])
        }
        self.limits.badCredential(from: address)
        throw self.refusal("unknown", nil, address)
    }

    private static func isRefreshToken(_ text: String) -> Bool {
        let prefix = Secret.Prefix.refreshToken.rawValue
        let digits = text.utf8.dropFirst(prefix.utf8.count)
        return text.hasPrefix(prefix) && digits.count == 64
            && digits.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    private func refusal(_ reason: String, _ session: Session?, _ address: String) -> APIFailure {
        var entry = session?.entry("session.refresh", address) ?? AuditEntry("session.refresh", address: address)
        entry.outcome = .refused
        entry.reason = reason
        self.trail.note(entry)
        return APIFailure(.badRequest, code: "invalid_grant", "The refresh token is not valid")
    }

    private enum Found {
        case session(Session)
        /// The answer that the same token got a moment ago.
        case repeated(Issued, Session)
        case refused(String, Session? = nil)
    }

    private enum Outcome {
        case issued(Issued)
        case refused(reason: String, Session?)
        case excess
    }

    /// An outcome, not an error, comes out of the transaction: the end of a session must be committed.
    private func exchange(
        _ scopes: Scopes?, _ format: TokenFormat, _ device: Device,
        _ find: @escaping @Sendable (Mutation) async throws -> Found
    ) async throws -> Issued {
        let outcome = try await self.writer.write { mutation -> Outcome in
            switch try await find(mutation) {
            case .refused(let reason, let session): return .refused(reason: reason, session)
            case .repeated(let issued, let session):
                var entry = session.entry("session.refresh", device.address)
                entry.reason = "repeated"
                try await mutation.audit(entry)
                return .issued(issued)
            case .session(let session): return try await self.exchange(session, scopes, format, device, mutation)
            }
        }
        switch outcome {
        case .issued(let issued): return issued
        case .excess: throw APIFailure(.badRequest, code: "invalid_scope", "The scope is more than the session has")
        case .refused(let reason, let session): throw self.refusal(reason, session, device.address)
        }
    }

    private func exchange(
        _ session: Session, _ asked: Scopes?, _ format: TokenFormat, _ device: Device, _ mutation: Mutation
    ) async throws -> Outcome {
        guard let standing = session.standing else { return .refused(reason: "ended", session) }
        if let asked, asked.all.contains(where: { !session.scopes.contains($0) }) { return .excess }
        let scopes = (asked ?? session.scopes).narrowed(to: standing.scopes)
        guard !scopes.all.isEmpty else { return .refused(reason: "no scope left", session) }
        _ = try await mutation.query(
            "UPDATE refresh_tokens SET used_at = now() WHERE session_id = \(session.id) AND used_at IS NULL")
        let issued = try await self.issue(session, standing, scopes, format, device.address, mutation)
        if session.client == nil {
            let sealed = try self.successors.seal(issued, session: session.id)
            _ = try await mutation.query(
                "UPDATE sessions SET successor = \(sealed), replaced_for = \(device.hash) WHERE id = \(session.id)")
        }
        try await mutation.audit(session.entry("session.refresh", device.address))
        return .issued(issued)
    }

    private func issue(
        _ session: Session, _ standing: Standing, _ scopes: Scopes, _ format: TokenFormat, _ address: String,
        _ mutation: Mutation
    ) async throws -> Issued {
        if let client = session.client {
            let bound = TokenBound(trail: self.trail)
            try await bound.requireRoom(
                for: client, of: session.user.id, tenant: session.tenant, address: address, mutation)
        }
        let (now, refresh) = (Timestamp.now, Secret(.refreshToken))
        let seconds = session.client == nil ? Self.signInSeconds : Self.clientSeconds
        let expires = min(now + .seconds(seconds), session.expires.roundedDownToSecond)
        let principal = session.principal(
            standing, scopes, format == .jwt ? .jwt : .oauth2, issued: now, expires: expires)
        _ = try await mutation.query(
            "INSERT INTO refresh_tokens (hash, session_id) VALUES (\(refresh.hash), \(session.id))")
        let token = try await AccessTokens(keys: self.keys).issue(principal, as: format, mutation)
        _ = try await mutation.query(
            """
            UPDATE sessions SET replaced_token = newest_token, newest_token = \(principal.credentialID),
                replaced_at = now(), replaced_for = NULL, successor = NULL
            WHERE id = \(session.id)
            """)
        return Issued(
            accessToken: token, expiresIn: Int((expires - now).milliseconds / 1000), refreshToken: refresh.text,
            scopes: scopes, session: session.id)
    }
}
