import Access
import Database
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `POST /v1/tokens`: one usable credential of any kind, for the owner and for tests. Needs `auth:admin`.
struct TokensAPI {
    let writer: EventWriter
    let keys: SigningKeys

    struct Body: CredentialBody {
        static let members: Set = ["type", "tenant", "scope", "ttl_seconds", "name", "stations", "tier"]

        /// `jwt`, `oauth2` (an opaque access token) or `apikey`.
        var type: String
        var tenant: String?
        var scope: String?
        var ttl_seconds: Int?
        var name: String?
        var stations: [String]?
        var tier: Tier?
    }

    struct Answer: Encodable {
        let id: String
        let token: String
        let type: String
        let tenant: String
        let scope: String
        let expires_at: String?
    }

    private static let lifetime = 1...30 * 86_400

    func add(to router: Router<APIContext>) {
        router.post("/v1/tokens") { request, context in
            let asker = try context.require(.authAdmin)
            let body = try await request.credentialBody(Body.self, context)
            guard let kind = CredentialKind(rawValue: body.type), kind != .anonymous else {
                throw APIFailure(.badRequest, "type must be jwt, oauth2 or apikey", details: ["field": "type"])
            }
            let grant = try Grant(
                for: asker, tenant: body.tenant, scope: body.scope, stations: body.stations,
                timeToLive: body.ttl_seconds,
                standard: 3600, range: Self.lifetime)
            let name = try (body.name ?? asker.name).requireName(field: "name")
            let answer = try await self.issue(kind, grant, name: name, body, asker)
            return Response.secret(answer)
        }
    }

    private func issue(
        _ kind: CredentialKind, _ grant: Grant, name: String, _ body: Body, _ asker: Principal
    ) async throws -> Answer {
        let id = ULID().text
        let expires = grant.expires ?? .now + .seconds(3600)
        let token: String
        switch kind {
        case .apiKey, .anonymous:
            let key = Secret(.apiKey)
            let record = APIKeyRecord(
                id: id, name: name, subject: asker.subject, grant: grant, tier: body.tier ?? asker.tier)
            try await record.insert(key, self.writer)
            token = key.text
        case .oauth2:
            token = try await AccessToken.issue(
                id: id, client: nil, name: name, grant: grant, expires: expires, self.writer)
        case .jwt:
            let principal = Principal(
                subject: asker.subject, name: name, tenant: grant.tenant, scopes: grant.scopes,
                stations: grant.stations.map(Set.init), credential: .jwt, credentialID: id, expires: expires,
                tier: body.tier ?? asker.tier)
            token = try await self.keys.sign(principal, issued: .now, expires: expires)
        }
        return Answer(
            id: id, token: token, type: kind.rawValue, tenant: grant.tenant, scope: grant.scopes.claim,
            expires_at: expires.iso8601)
    }
}
