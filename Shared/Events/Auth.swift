/// A credential that must not be accepted any longer, anywhere.
public struct CredentialRevoked: EventPayload {
    public static let type: EventType = "auth.revoked"

    /// `apikey`, `client` or `token`.
    public var kind: String
    /// The key's, client's or token's id: `Principal.credentialID`, or its subject for a client.
    public var id: String

    public init(kind: String, id: String) {
        self.kind = kind
        self.id = id
    }
}
