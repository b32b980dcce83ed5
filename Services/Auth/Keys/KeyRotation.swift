import Access
import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `POST /v1/auth/keys/{id}/rotate` (contract wave §10): a new key that is worth the same, while the old one stays good for a while.
struct KeyRotation {
    let database: Database
    let writer: EventWriter

    private struct Body: CredentialBody {
        static let members: Set = ["grace_period_hours"]
        var grace_period_hours: Int?
    }

    private struct Answer: Encodable {
        struct Old: Encodable {
            let id: String
            let expires_at: String
        }
        let id: String
        let new_key: String
        let old_key: Old
    }

    private static let hours = 0...720
    private static let hoursDefault = 24

    func answer(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.requireSomewhere(APIKeysAPI.scope)
        let id = try context.requireName("id")
        let body = try await request.optionalCredentialBody(Body.self, context)
        let hours = body?.grace_period_hours ?? Self.hoursDefault
        guard Self.hours.contains(hours) else {
            throw APIFailure(
                .badRequest,
                "grace_period_hours must be from \(Self.hours.lowerBound) to \(Self.hours.upperBound)",
                details: ["field": "grace_period_hours"])
        }
        let entry = AuditEntry("key.rotate", by: context, target: id, reason: "\(hours) h of grace")
        let end = try await asker.latestEnd(self.database)
        let rotated = try await self.writer.write(for: asker) { mutation in
            try await Self.rotate(id, hours: hours, by: asker, until: end, audit: entry, mutation)
        }
        guard let (record, key, oldEnds) = rotated else {
            throw APIFailure(.notFound, "No such key, or it is revoked, expired or rotated already")
        }
        return Response.secret(
            Answer(id: record.id, new_key: key, old_key: .init(id: id, expires_at: oldEnds.iso8601)))
    }

    private static func rotate(
        _ id: String, hours: Int, by asker: Principal, until end: Timestamp?, audit entry: AuditEntry,
        _ mutation: Mutation
    ) async throws -> (APIKeyRecord, key: String, oldEnds: Timestamp)? {
        let newID = ULID().text
        let rows = try await mutation.query(
            """
            UPDATE api_keys AS old
            SET replaced_by = \(newID), expires_at = least(old.expires_at, now() + \(hours) * interval '1 hour')
            FROM api_keys AS before
            WHERE before.id = old.id AND old.id = \(id) AND old.revoked_at IS NULL AND old.replaced_by IS NULL
                AND (old.expires_at IS NULL OR old.expires_at > now())
                AND old.id IN (SELECT id FROM api_keys WHERE \(Authority(asker).covers))
            RETURNING old.id, old.name, old.tenant, old.subject, old.scope, old.stations, old.streams, old.cameras,
                old.obs_connections, old.tier, before.expires_at, old.allowed_ips, old.client_id, old.origin, old.prefix, old.expires_at AS ends
            """)
        guard let row = rows.first else { return nil }
        var record = try APIKeyRecord(row)
        // Whoever gets the new key gets what it may do.
        try record.grant.requireWithin(asker)
        guard record.tier == asker.tier || asker.administersAuth else {
            throw APIFailure(.forbidden, "Another tier needs the scope auth:admin", details: ["field": "tier"])
        }
        // Shortening it would end what uses the key long after whoever rotated it has gone.
        if let end, record.grant.expires.map({ $0 > end }) ?? true {
            throw APIFailure(
                .forbidden, "The key ends later than the asker's credential: rotate it with one that lasts as long",
                details: ["field": "expires_at"])
        }
        try asker.requireCoverage(of: record.principal)
        record.id = newID
        record.origin = asker.lineage ?? record.origin
        let key = Secret(Secret.Prefix(of: try row.decode("prefix")) ?? .apiKey)
        try await record.insert(key, mutation)
        try await mutation.audit(entry)
        if hours == 0 { try await mutation.revokeKeys("id = \(id)", audit: entry) }
        return (record, key.text, try row.decode("ends"))
    }

    /// Revokes the old keys whose grace is over, so that connections which they opened end too.
    static func endGrace(_ mutation: Mutation) async throws {
        try await mutation.revokeKeys(
            "replaced_by IS NOT NULL AND expires_at <= now()", audit: AuditEntry("key.revoke", reason: "rotated"))
    }
}
