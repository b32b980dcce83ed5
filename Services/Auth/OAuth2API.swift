import Access
import Database
import DomainService
import Events
import HTTPTypes
import Hummingbird
import NIOCore
import ServiceKit

/// OAuth2 client credentials (RFC 6749 §4.4) for opaque access tokens, their clients, and the public keys (RFC 7517).
struct OAuth2API {
    let database: Database
    let writer: EventWriter
    let keys: SigningKeys

    private static let lifetime = 3600

    struct ClientBody: CredentialBody {
        static let members: Set = ["name", "scope", "tenant", "stations"]

        var name: String
        var scope: String
        var tenant: String?
        var stations: [String]?
    }

    struct CreatedClient: Encodable {
        let client_id: String
        let client_secret: String
        let name: String
        let scope: String
        let tenant: String
    }

    struct TokenAnswer: Encodable {
        let access_token: String
        var token_type = "Bearer"
        let expires_in: Int
        let scope: String
    }

    private struct Client {
        let id: String
        let name: String
        let tenant: String
        let scopes: Scopes
        let stations: Set<String>?

        /// The client as an asker, who gets no more than it was made with.
        var principal: Principal {
            Principal(
                subject: self.id, name: self.name, tenant: self.tenant, scopes: self.scopes, stations: self.stations,
                credential: .oauth2, credentialID: self.id)
        }
    }

    func add(to router: Router<APIContext>) {
        router.get("/.well-known/jwks.json") { _, _ in Response.json(bytes: Array(try await self.keys.jwks().utf8)) }
        router.post("/v1/oauth2/clients") { request, context in try await self.createClient(request, context) }
        router.delete("/v1/oauth2/clients/:id") { _, context in try await self.revokeClient(context) }
        router.post("/oauth2/token") { request, _ in try await self.token(request) }
    }

    private func createClient(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.require(APIKeysAPI.scope)
        let body = try await request.credentialBody(ClientBody.self, context)
        let grant = try Grant(
            for: asker, tenant: body.tenant, scope: body.scope, stations: body.stations, timeToLive: nil, standard: nil,
            range: 1...Self.lifetime)
        let name = try body.name.requireName(field: "name")
        let (id, secret) = ("client_\(ULID())", Secret(.clientSecret))
        _ = try await self.writer.write { mutation in
            try await mutation.query(
                """
                INSERT INTO oauth_clients (id, secret_hash, name, tenant, scope, stations)
                VALUES (\(id), \(secret.hash), \(name), \(grant.tenant), \(grant.scopes.claim), \(grant.stations))
                """)
        }
        return Response.secret(
            CreatedClient(
                client_id: id, client_secret: secret.text, name: name, scope: grant.scopes.claim, tenant: grant.tenant))
    }

    private func revokeClient(_ context: APIContext) async throws -> Response {
        let asker = try context.require(APIKeysAPI.scope)
        let id = try context.parameters.require("id")
        let isRevoked = try await self.writer.revoke(.clients, id: id, by: Authority(asker))
        guard isRevoked else { throw APIFailure(.notFound, "No such client, or it is revoked already") }
        return Response(status: .noContent)
    }

    private func token(_ request: Request) async throws -> Response {
        do {
            return try await self.issueToken(request)
        } catch var failure as APIFailure {
            failure.headers.forbidStoring()
            throw failure
        }
    }

    private func issueToken(_ request: Request) async throws -> Response {
        let form = try await Self.form(request)
        let client = try await self.client(id: form.clientID, secret: form.clientSecret)
        let grant: Grant
        do {
            grant = try Grant(
                for: client.principal, tenant: nil, scope: form.scope ?? client.scopes.claim, timeToLive: nil,
                standard: Self.lifetime, range: 1...Self.lifetime)
        } catch {
            // Nothing but the scope is the client's to choose.
            throw APIFailure(.badRequest, code: "invalid_scope", "The scope is malformed, or more than the client has")
        }
        var principal = client.principal
        principal.credentialID = ULID().text
        principal.expires = grant.expires
        principal.scopes = grant.scopes
        principal.client = client.id
        let entry = AuditEntry(
            "token.issue", tenant: client.tenant, actor: client.id, target: principal.credentialID,
            reason: "client_credentials")
        let (tokens, issued) = (AccessTokens(keys: self.keys), principal)
        let token = try await self.writer.write { mutation in
            try await mutation.audit(entry)
            return try await tokens.issue(issued, as: .opaque, mutation)
        }
        return Response.secret(
            TokenAnswer(access_token: token, expires_in: Self.lifetime, scope: grant.scopes.claim), status: .ok)
    }

    private func client(id: String, secret: String) async throws -> Client {
        guard Grant.isName(id) else { throw TokenForm.invalidClient }
        let rows = try await self.database.query(
            """
            SELECT id, name, tenant, scope, stations, secret_hash FROM oauth_clients
            WHERE id = \(id) AND revoked_at IS NULL
            """)
        let given = Array(Secret.hash(secret).utf8)
        let stored = try rows.first.map { Array(try $0.decode("secret_hash", as: String.self).utf8) } ?? []
        // Both are hashes of 256-bit secrets; the comparison still takes the same time wherever they differ.
        let difference = zip(given, stored).reduce(UInt8(stored.count == given.count ? 0 : 1)) { $0 | ($1.0 ^ $1.1) }
        guard let row = rows.first, difference == 0 else { throw TokenForm.invalidClient }
        return Client(
            id: try row.decode("id"), name: try row.decode("name"), tenant: try row.decode("tenant"),
            scopes: Scopes(claim: try row.decode("scope")),
            stations: try row.decode("stations", as: [String]?.self).map(Set.init))
    }

    private static func form(_ request: Request) async throws -> TokenForm {
        let type = request.headers[.contentType]?.split(separator: ";").first?.lowercased() ?? ""
        guard type.filter({ $0 != " " }) == TokenForm.contentType else {
            throw APIFailure(.badRequest, "The body must be \(TokenForm.contentType)")
        }
        do {
            let body = try await request.body.collect(upTo: 16_384)
            return try TokenForm(Array(body.readableBytesView), authorization: request.headers[.authorization])
        } catch is NIOTooManyBytesError {
            throw APIFailure(.contentTooLarge, "The form is too large")
        }
    }
}
