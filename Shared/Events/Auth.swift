/// Credentials that must not be accepted any longer, anywhere.
public struct CredentialRevoked: EventPayload, Hashable {
    public static let type: EventType = "auth.revoked"

    /// What was revoked; the raw value is the wire's.
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// One API key, and every token that was made with it.
        case apiKey = "apikey"
        /// One access token, opaque or signed.
        case token
        /// Every token that was issued to an OAuth2 client.
        case client
        /// Every token of a user that was issued until `before`.
        case user
        /// Every token of one sign-in or one authorization, and every token that was made with one.
        case session
        /// Every token that was signed with one key.
        case signingKey = "signing_key"
    }

    public var kind: Kind
    /// The id of the key, token, client, user, session or signing key.
    public var id: String
    /// Tokens that were issued at this moment or earlier are concerned; `nil`: all.
    public var before: Timestamp?
    /// When the last credential that it concerns has ended by itself, so that it can be forgotten; `nil`: never.
    public var until: Timestamp?

    public init(kind: Kind, id: String, before: Timestamp? = nil, until: Timestamp? = nil) {
        self.kind = kind
        self.id = id
        self.before = before
        self.until = until
    }

    /// Whether it ends what that principal may do.
    public func concerns(_ principal: Principal) -> Bool {
        switch self.kind {
        case .token: principal.credential != .apiKey && principal.credentialID == self.id
        case .client: principal.client == self.id
        case .apiKey, .session: principal.lineage == self.id
        case .signingKey: principal.signingKey == self.id
        case .user:
            principal.subject == self.id && principal.credential != .apiKey
                && (self.before.map { principal.issued ?? $0 <= $0 } ?? true)
        }
    }
}
