import Database
import Events

/// An API key as it is stored: everything but the key.
struct APIKeyRecord {
    var id: String
    var name: String
    var subject: String
    var grant: Grant
    var stations: [String]?
    var tier: Tier

    func insert(_ key: Secret, _ writer: EventWriter) async throws {
        let record = self
        _ = try await writer.write { mutation in
            try await mutation.query(
                """
                INSERT INTO api_keys (id, hash, prefix, name, tenant, subject, scope, stations, tier, expires_at)
                VALUES (\(record.id), \(key.hash), \(key.shownPrefix), \(record.name), \(record.grant.tenant), \(record.subject),
                        \(record.grant.scopes.claim), \(record.stations), \(record.tier.rawValue), \(record.grant.expires))
                """)
        }
    }
}

/// An opaque OAuth2 access token.
enum AccessToken {
    /// - Parameter client: whom it was issued to; `nil`: the owner, by hand.
    static func issue(
        id: String, client: String?, name: String, grant: Grant, expires: Timestamp, _ writer: EventWriter
    ) async throws -> String {
        let token = Secret(.accessToken)
        _ = try await writer.write { mutation in
            try await mutation.query(
                """
                INSERT INTO access_tokens (id, hash, client_id, name, tenant, scope, expires_at)
                VALUES (\(id), \(token.hash), \(client), \(name), \(grant.tenant), \(grant.scopes.claim), \(expires))
                """)
        }
        return token.text
    }
}
