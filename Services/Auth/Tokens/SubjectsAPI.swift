import Access
import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `POST /v1/auth/subjects/revoke`: ends every token of a subject that auth itself has no account of, such as a trusted issuer's
/// (`name|sub`), and the API keys that it made. Needs `auth:admin`.
struct SubjectsAPI {
    let writer: EventWriter

    private struct Body: CredentialBody {
        static let members: Set = ["subject"]
        var subject: String
    }

    private static let subjectBytesMax = 400

    func add(to router: Router<APIContext>) {
        router.post("/v1/auth/subjects/revoke") { request, context in
            let asker = try context.require(.authAdmin, on: .channel)
            let subject = try await request.credentialBody(Body.self, context).subject
            guard (1...Self.subjectBytesMax).contains(subject.utf8.count),
                !subject.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
            else {
                throw APIFailure(
                    .badRequest, "subject must be 1 to \(Self.subjectBytesMax) bytes, none of them a control character",
                    details: ["field": "subject"])
            }
            let entry = AuditEntry("user.revoke", by: context, target: subject)
            var ofKeys = entry
            (ofKeys.action, ofKeys.reason) = ("key.revoke", entry.action)
            let keys = ofKeys
            try await self.writer.write(for: asker) { mutation in
                let now = Timestamp.now
                let revocation = CredentialRevoked(
                    kind: .user, id: subject, before: now, until: now + .seconds(AccessTokens.lifetimeMax))
                try await mutation.revoke(revocation, tenant: asker.tenant)
                try await mutation.audit(entry)
                try await mutation.revokeKeys("subject = \(subject)", audit: keys)
            }
            return Response(status: .noContent)
        }
    }
}
