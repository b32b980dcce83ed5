import Access
import Database
import Events
import Hummingbird
import ServiceKit

/// The keys that sign access tokens, without the keys: listed, rotated, revoked. At `/v1/auth/signing-keys`; needs `auth:admin`.
struct SigningKeysAPI {
    let keys: SigningKeys
    let writer: EventWriter

    private struct List: Encodable { let data: [SigningKeys.Listed] }

    private struct Made: Encodable {
        let kid: String
        let signs_in_seconds: Int64
    }

    func add(to router: Router<APIContext>) {
        router.get("/v1/auth/signing-keys") { _, context in
            try context.require(.authAdmin, on: .channel)
            return Response.json(List(data: await self.keys.list()))
        }
        router.post("/v1/auth/signing-keys") { _, context in
            let asker = try context.require(.authAdmin, on: .channel)
            let entry = AuditEntry("signing_key.rotate", by: context)
            let kid = try await self.keys.rotate(self.writer, for: asker, audit: entry)
            let lead = SigningKeys.lead.components.seconds
            return Response.json(Made(kid: kid, signs_in_seconds: lead), status: .created)
        }
        router.delete("/v1/auth/signing-keys/:id") { _, context in
            let asker = try context.require(.authAdmin, on: .channel)
            let id = try context.requireName("id")
            let entry = AuditEntry("signing_key.revoke", by: context, target: id)
            guard try await self.keys.revoke(id, self.writer, for: asker, audit: entry) else {
                throw APIFailure(.notFound, "No such signing key")
            }
            return Response(status: .noContent)
        }
    }
}
