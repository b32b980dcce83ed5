import Access
import Database
import DomainService
import Events
import FoundationEssentials
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

    struct ClientBody: Decodable {
        var name: String
        var scope: String
        var tenant: String?
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

    private struct TokenForm: Decodable {
        var grant_type: String?
        var client_id: String?
        var client_secret: String?
        var scope: String?
    }

    private struct Client {
        let id: String
        let name: String
        let tenant: String
        let scopes: Scopes
    }

    func add(to router: Router<APIContext>) {
        router.get("/.well-known/jwks.json") { _, _ in Response.json(bytes: Array(try await self.keys.jwks().utf8)) }
        router.post("/v1/oauth2/clients") { request, context in try await self.createClient(request, context) }
        router.delete("/v1/oauth2/clients/:id") { _, context in try await self.revokeClient(context) }
        router.post("/oauth2/token") { request, context in try await self.token(request, context) }
    }

    private func createClient(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try context.require(APIKeysAPI.scope)
        let body = try await request.decodeJSON(ClientBody.self, context)
        let grant = try Grant(
            for: asker, tenant: body.tenant, scope: body.scope, timeToLive: nil, standard: nil, range: 1...Self.lifetime
        )
        let name = try body.name.requireName(field: "name")
        let (id, secret) = ("client_\(ULID())", Secret(.clientSecret))
        _ = try await self.writer.write { mutation in
            try await mutation.query(
                """
                INSERT INTO oauth_clients (id, secret_hash, name, tenant, scope)
                VALUES (\(id), \(secret.hash), \(name), \(grant.tenant), \(grant.scopes.claim))
                """)
        }
        return Response.json(
            CreatedClient(
                client_id: id, client_secret: secret.text, name: name, scope: grant.scopes.claim, tenant: grant.tenant),
            status: .created)
    }

    private func revokeClient(_ context: APIContext) async throws -> Response {
        let asker = try context.require(APIKeysAPI.scope)
        let id = try context.parameters.require("id")
        let revoked = try await self.writer.write { mutation in
            let rows = try await mutation.query(
                """
                UPDATE oauth_clients SET revoked_at = now() WHERE id = \(id) AND tenant = \(asker.tenant) AND revoked_at IS NULL
                RETURNING id
                """)
            if !rows.isEmpty {
                mutation.emit(Event(CredentialRevoked(kind: "client", id: id), tenant: asker.tenant, publisher: .auth))
            }
            return !rows.isEmpty
        }
        guard revoked else { throw APIFailure(.notFound, "No such client, or it is revoked already") }
        return Response(status: .noContent)
    }

    private func token(_ request: Request, _ context: APIContext) async throws -> Response {
        let form = try await Self.form(request, context)
        guard form.grant_type == "client_credentials" else {
            throw APIFailure(.badRequest, code: "unsupported_grant_type", "grant_type must be client_credentials")
        }
        let client = try await self.client(id: form.client_id ?? "", secret: form.client_secret ?? "")
        var grantScopes = client.scopes
        if let scope = form.scope {
            grantScopes = Scopes(claim: scope)
            guard !grantScopes.all.isEmpty, grantScopes.all.allSatisfy(client.scopes.contains) else {
                throw APIFailure(.badRequest, code: "invalid_scope", "The scope is more than the client has")
            }
        }
        let asker = Principal(
            subject: client.id, name: client.name, tenant: client.tenant, scopes: client.scopes, credential: .oauth2,
            credentialID: client.id)
        let grant = try Grant(
            for: asker, tenant: nil, scope: grantScopes.claim, timeToLive: nil, standard: Self.lifetime,
            range: 1...Self.lifetime)
        let token = try await AccessToken.issue(
            id: ULID().text, client: client.id, name: client.name, grant: grant,
            expires: .now + .seconds(Self.lifetime),
            self.writer)
        var response = Response.json(
            TokenAnswer(access_token: token, expires_in: Self.lifetime, scope: grant.scopes.claim))
        response.headers[.cacheControl] = "no-store"
        return response
    }

    private func client(id: String, secret: String) async throws -> Client {
        let rows = try await self.database.query(
            """
            SELECT id, name, tenant, scope, secret_hash FROM oauth_clients WHERE id = \(id) AND revoked_at IS NULL
            """)
        let given = Array(Secret.hash(secret).utf8)
        let stored = try rows.first.map { Array(try $0.decode("secret_hash", as: String.self).utf8) } ?? []
        // Both are hashes of 256-bit secrets; the comparison still takes the same time wherever they differ.
        let difference = zip(given, stored).reduce(UInt8(stored.count == given.count ? 0 : 1)) { $0 | ($1.0 ^ $1.1) }
        guard let row = rows.first, difference == 0 else {
            throw APIFailure(
                .unauthorized, code: "invalid_client", "The client is not known, or its secret is wrong",
                headers: [.wwwAuthenticate: "Basic realm=\"crosspoint\""])
        }
        return Client(
            id: try row.decode("id"), name: try row.decode("name"), tenant: try row.decode("tenant"),
            scopes: Scopes(claim: try row.decode("scope")))
    }

    /// `Authorization: Basic …`.
    private static func basicCredentials(_ request: Request) -> (user: String, password: String)? {
        guard let header = request.headers[.authorization], header.lowercased().hasPrefix("basic "),
            let data = Data(base64Encoded: String(header.dropFirst(6)))
        else { return nil }
        let halves = String(decoding: data, as: UTF8.self).split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        // Our ids and secrets have no characters that a client would percent-encode (RFC 6749 §2.3.1).
        return (String(halves[0]), String(halves[1]))
    }

    /// The form of a token request; client credentials from the body or from the `Authorization` header.
    private static func form(_ request: Request, _ context: APIContext) async throws -> TokenForm {
        guard request.headers[.contentType]?.lowercased().hasPrefix("application/x-www-form-urlencoded") == true else {
            throw APIFailure(.badRequest, "The body must be application/x-www-form-urlencoded")
        }
        let body = try await request.body.collect(upTo: 16_384)
        do {
            var form = try URLEncodedFormDecoder().decode(TokenForm.self, from: String(buffer: body))
            if let basic = Self.basicCredentials(request) {
                form.client_id = basic.user
                form.client_secret = basic.password
            }
            return form
        } catch {
            throw APIFailure(.badRequest, "The form does not decode")
        }
    }
}
