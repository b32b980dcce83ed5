import Database
import Events

/// An API key as it is stored: everything but the key.
struct APIKeyRecord {
    var id: String
    var name: String
    var subject: String
    var grant: Grant
    var tier: Tier

    func insert(_ key: Secret, _ writer: EventWriter) async throws {
        let record = self
        _ = try await writer.write { mutation in
            try await mutation.query(
                """
                INSERT INTO api_keys (id, hash, prefix, name, tenant, subject, scope, stations, tier, expires_at)
                VALUES (\(record.id), \(key.hash), \(key.shownPrefix), \(record.name), \(record.grant.tenant), \(record.subject),
                        \(record.grant.scopes.claim), \(record.grant.stations), \(record.tier.rawValue), \(record.grant.expires))
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
                INSERT INTO access_tokens (id, hash, client_id, name, tenant, scope, stations, expires_at)
                VALUES (\(id), \(token.hash), \(client), \(name), \(grant.tenant), \(grant.scopes.claim), \(grant.stations),
                        \(expires))
                """)
        }
        return token.text
    }

    /// Removes those that ended a day ago: anyone can make as many as they like.
    static func forgetExpired(_ writer: EventWriter) async throws {
        _ = try await writer.write { mutation in
            try await mutation.query("DELETE FROM access_tokens WHERE expires_at < now() - interval '1 day'")
        }
    }
}
