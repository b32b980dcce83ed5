import Database
import Events

extension User {
    /// Ends everything that they hold, within the change that is the reason for it: sessions, tokens, codes and browsers' sign-ins.
    /// - Parameters:
    ///   - keys: also the API keys that they made, and the clients that get tokens in their own name.
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
        var ofClient = entry
        (ofClient.action, ofClient.reason) = ("client.revoke", entry.action)
        try await mutation.revokeClients(
            "created_by = \(self.id) AND \(OAuth2Client.actsForItself)", audit: ofClient)
    }
}

extension User {
    /// Revokes the API keys that they made, and the clients that get tokens in their own name, where these can do more than they may
    /// now.
    func endExcessKeys(because entry: AuditEntry, _ mutation: Mutation) async throws {
        let keys = try self.excess(
            try await mutation.query(
                "SELECT id, tenant, scope, stations FROM api_keys WHERE subject = \(self.id) AND revoked_at IS NULL"))
        if !keys.isEmpty {
            var ofKey = entry
            (ofKey.action, ofKey.reason) = ("key.revoke", entry.action)
            try await mutation.revokeKeys("id = ANY (\(keys))", audit: ofKey)
        }
        let clients = try self.excess(
            try await mutation.query(
                """
                SELECT id, tenant, scope, stations FROM oauth_clients
                WHERE created_by = \(self.id) AND \(OAuth2Client.actsForItself) AND revoked_at IS NULL
                """))
        if !clients.isEmpty {
            var ofClient = entry
            (ofClient.action, ofClient.reason) = ("client.revoke", entry.action)
            try await mutation.revokeClients("id = ANY (\(clients))", audit: ofClient)
        }
    }

    /// The ids of what can do more than they may.
    private func excess(_ rows: [Row]) throws -> [String] {
        let excess = try rows.filter { row in
            let scopes = Scopes(claim: try row.decode("scope"))
            return !self.covers(
                scopes, tenant: try row.decode("tenant"), stations: try row.decode("stations", as: [String]?.self))
        }
        return try excess.map { row throws(DatabaseError) in try row.decode("id", as: String.self) }
    }

    /// Whether they may do all that, at all these stations (`nil`: at all there are).
    private func covers(_ scopes: Scopes, tenant: String, stations: [String]?) -> Bool {
        // An owner makes credentials for any tenant.
        if self.isOwner { return true }
        let standings = stations.map { $0.map { self.grant(in: tenant, station: $0) } }
        let needed = standings ?? [self.grant(in: tenant, station: nil).flatMap { $0.stations == nil ? $0 : nil }]
        return needed.allSatisfy { standing in
            scopes.all.allSatisfy { standing?.scopes.contains($0) ?? false }
        }
    }
}
