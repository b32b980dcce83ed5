public import Events

extension CredentialRevoked {
    /// Whether it ends what that principal may do: the credential itself was revoked, or the client that it was given to.
    public func concerns(_ principal: Principal) -> Bool {
        switch self.kind {
        case "client": principal.subject == self.id
        default: principal.credentialID == self.id
        }
    }
}
