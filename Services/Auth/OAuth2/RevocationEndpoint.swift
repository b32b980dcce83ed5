import Access
import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `POST /oauth2/revoke` (RFC 7009): a client gives its own tokens back. A refresh token takes its session with it.
///
/// A token that is not known is answered like one that was revoked (§2.2); one that is somebody else's is refused, and the client is
/// told (§2.1): it holds the token, so there is nothing to hide from it.
struct RevocationEndpoint {
    let database: Database
    let writer: EventWriter
    let clients: OAuth2Clients
    let sessions: Sessions
    let credentials: Credentials

    func add(to router: Router<APIContext>) {
        router.post("/oauth2/revoke") { request, context in
            try await Response.unstored {
                let form = try await request.form()
                try form.requireNoneRepeated()
                let proof = try ClientProof(form, authorization: request.headers[.authorization])
                let client = try await self.clients.authenticate(proof, address: context.clientAddress)
                // `token_type_hint` need not be right, and tokens say themselves what they are.
                try await self.revoke(try form.require("token"), of: client, context)
                return Response(status: .ok)
            }
        }
    }

    private func revoke(_ token: String, of client: OAuth2Client, _ context: APIContext) async throws {
        if token.hasPrefix(Secret.Prefix.refreshToken.rawValue) {
            try await self.revokeSession(of: token, client, context)
        } else if token.hasPrefix(Secret.Prefix.accessToken.rawValue) {
            try await self.revokeToken("hash = \(Secret.hash(token))", client, context)
        } else if let principal = try await self.verified(token) {
            try await self.revokeToken("id = \(principal.credentialID)", client, context)
        }
    }

    private func verified(_ token: String) async throws -> Principal? {
        guard token.utf8.count <= 8192, token.utf8.count(where: { $0 == UInt8(ascii: ".") }) == 2 else { return nil }
        do throws(AccessError) {
            return try await self.credentials.signer(of: token)
        } catch {
            guard error != .unavailable else {
                throw APIFailure.unavailable("Tokens cannot be verified at the moment")
            }
            return nil
        }
    }

    private func revokeSession(of token: String, _ client: OAuth2Client, _ context: APIContext) async throws {
        let rows = try await self.database.query(
            """
            SELECT s.id, s.client_id FROM refresh_tokens r JOIN sessions s ON s.id = r.session_id
            WHERE r.hash = \(Secret.hash(token))
            """)
        guard let row = rows.first else { return }
        try self.require(client, is: try row.decode("client_id"), context)
        let session = try row.decode("id", as: String.self)
        try await self.writer.write { mutation in
            try await self.sessions.revoke(session, reason: .givenBack, mutation)
        }
    }

    private func revokeToken(_ condition: Query, _ client: OAuth2Client, _ context: APIContext) async throws {
        let rows = try await self.database.query(
            "SELECT id, client_id FROM access_tokens WHERE \(condition) AND revoked_at IS NULL AND expires_at > now()")
        guard let row = rows.first else { return }
        try self.require(client, is: try row.decode("client_id"), context)
        let id = try row.decode("id", as: String.self)
        let entry = AuditEntry(
            "token.revoke", tenant: client.tenant, actor: client.id, address: context.clientAddress, target: id,
            reason: "given back")
        try await self.writer.write { mutation in
            let revoked = try await mutation.query(
                """
                UPDATE access_tokens SET revoked_at = now() WHERE id = \(id) AND revoked_at IS NULL
                RETURNING tenant, expires_at
                """)
            guard let row = revoked.first else { return }
            try await mutation.revoke(
                CredentialRevoked(kind: .token, id: id, until: try row.decode("expires_at")),
                tenant: try row.decode("tenant"))
            try await mutation.audit(entry)
        }
    }

    private func require(_ client: OAuth2Client, is owner: String?, _ context: APIContext) throws(APIFailure) {
        guard owner != client.id else { return }
        self.clients.trail.note(
            AuditEntry(
                "token.revoke", .refused, tenant: client.tenant, actor: client.id, address: context.clientAddress,
                target: client.id, reason: "another client's token"))
        throw APIFailure(.badRequest, code: "invalid_grant", "The token was not issued to this client")
    }
}
