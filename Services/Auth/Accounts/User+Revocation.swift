import Database
import Events

extension User {
    /// Ends everything that they hold, within the change that is the reason for it: sessions, tokens, codes and browsers' sign-ins.
    /// - Parameters:
    ///   - keys: also the API keys that they made.
    ///   - entry: what the audit log says of the reason.
    func endCredentials(keys: Bool, because entry: AuditEntry, _ mutation: Mutation) async throws {
        let tenant = self.tenants.first ?? Principal.defaultTenant
        let now = Timestamp.now
        for change: Query in [
            "UPDATE users SET generation = generation + 1 WHERE id = \(self.id)",
            "UPDATE sessions SET revoked_at = now() WHERE user_id = \(self.id) AND revoked_at IS NULL",
            "UPDATE access_tokens SET revoked_at = now() WHERE subject = \(self.id) AND revoked_at IS NULL",
            "DELETE FROM authorization_codes WHERE user_id = \(self.id) AND used_at IS NULL",
            "DELETE FROM browser_sessions WHERE user_id = \(self.id)",
        ] {
            _ = try await mutation.query(change)
        }
        let until = now + .seconds(AccessTokens.lifetimeMax)
        try await mutation.revoke(
            CredentialRevoked(kind: .user, id: self.id, before: now, until: until), tenant: tenant)
        guard keys else { return }
        var ofKey = entry
        (ofKey.action, ofKey.reason) = ("key.revoke", entry.action)
        try await mutation.revokeKeys("subject = \(self.id)", audit: ofKey)
    }
}
