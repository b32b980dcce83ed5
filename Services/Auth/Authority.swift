import Database
import Events

/// Whose credentials an asker may see and revoke: with `auth:admin` everybody's; otherwise those of their own tenant that are
/// for no other stations than theirs, and no administrator's.
struct Authority {
    private let isAdmin: Bool
    private let tenant: String
    private let stations: [String]?

    init(_ principal: Principal) {
        self.isAdmin = principal.scopes.contains(.authAdmin)
        self.tenant = principal.tenant
        self.stations = principal.stations?.sorted()
    }

    /// A condition on a row of `api_keys`, `access_tokens` or `oauth_clients`.
    var covers: Query {
        """
        (\(self.isAdmin) OR (tenant = \(self.tenant) AND NOT 'auth:admin' = ANY (string_to_array(scope, ' '))
            AND (\(self.stations)::text[] IS NULL OR stations <@ \(self.stations)::text[])))
        """
    }
}

extension EventWriter {
    enum Revocable {
        case clients

        fileprivate var table: String {
            switch self {
            case .clients: "oauth_clients"
            }
        }

        fileprivate var kind: CredentialRevoked.Kind {
            switch self {
            case .clients: .client
            }
        }
    }

    /// `false`: there is none with that id that is valid and within the asker's authority.
    func revoke(_ what: Revocable, id: String, by authority: Authority) async throws -> Bool {
        // Postgres takes no text with a NUL, and would say so as a fault of ours.
        guard Grant.isName(id) else { return false }
        return try await self.write { mutation in
            let rows = try await mutation.query(
                """
                UPDATE \(unescaped: what.table) SET revoked_at = now()
                WHERE id = \(id) AND revoked_at IS NULL AND \(authority.covers) RETURNING tenant
                """)
            for row in rows {
                try await mutation.revoke(
                    CredentialRevoked(kind: what.kind, id: id), tenant: try row.decode("tenant"))
            }
            return !rows.isEmpty
        }
    }
}
