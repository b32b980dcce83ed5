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
                """
                SELECT id, tenant, scope, \(RoomLists.columns) FROM api_keys
                WHERE subject = \(self.id) AND revoked_at IS NULL
                """)
        ) { row throws(DatabaseError) in try RoomLists(row) }
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
                """)
        ) { row throws(DatabaseError) in RoomLists(stations: try row.decode("stations")) }
        if !clients.isEmpty {
            var ofClient = entry
            (ofClient.action, ofClient.reason) = ("client.revoke", entry.action)
            try await mutation.revokeClients("id = ANY (\(clients))", audit: ofClient)
        }
    }

    /// The ids of what can do more than they may.
    private func excess(_ rows: [Row], rooms: (Row) throws(DatabaseError) -> RoomLists) throws -> [String] {
        let excess = try rows.filter { row in
            let scopes = Scopes(claim: try row.decode("scope"))
            return !self.covers(scopes, tenant: try row.decode("tenant"), rooms: try rooms(row))
        }
        return try excess.map { row throws(DatabaseError) in try row.decode("id", as: String.self) }
    }

    /// Whether they may do all that in these rooms: roles are had at stations or in the whole channel, so every other room, and no limit
    /// at all, takes one of those.
    func covers(_ scopes: Scopes, tenant: String, rooms: RoomLists) -> Bool {
        // An owner makes credentials for any tenant.
        if self.isOwner { return true }
        let stations = rooms.limits?.reachable == [.station] ? rooms.stations ?? [] : []
        let needed =
            stations.isEmpty
            ? [self.grant(in: tenant, station: nil).flatMap { $0.stations == nil ? $0 : nil }]
            : stations.map { self.grant(in: tenant, station: $0) }
        return needed.allSatisfy { standing in
            scopes.all.allSatisfy { standing?.scopes.contains($0) ?? false }
        }
    }
}
