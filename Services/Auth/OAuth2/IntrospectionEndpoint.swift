import Access
import Database
import Events
import FoundationEssentials
import HTTPTypes
import Hummingbird
import ServiceKit

/// `POST /oauth2/introspect` (RFC 7662): what a token of the asker's own tenant is worth. For a confidential client, and for
/// whoever may make keys.
struct IntrospectionEndpoint {
    let database: Database
    let clients: OAuth2Clients
    let credentials: Credentials
    let issuer: String

    private static let inactive: JSON = ["active": false]

    func add(to router: Router<APIContext>) {
        router.post("/oauth2/introspect") { request, context in
            try await Response.unstored {
                let form = try await request.form()
                try form.requireNoneRepeated()
                let asker = try await self.asker(form, request, context)
                let token = try form.require("token")
                return Response.json(try await self.describe(token, for: asker))
            }
        }
    }

    private func asker(_ form: FormParameters, _ request: Request, _ context: APIContext) async throws -> Principal {
        if context.principal != nil {
            guard form["client_id"] == nil, form["client_secret"] == nil else {
                throw FormParameters.invalid("The request authenticates in more than one way")
            }
            return try context.requireSomewhere(APIKeysAPI.scope)
        }
        let proof = try ClientProof(form, authorization: request.headers[.authorization])
        let client = try await self.clients.authenticate(proof, address: context.clientAddress)
        // Anybody can say that they are a public client.
        guard client.kind == .confidential else { throw ClientProof.invalidClient }
        return client.principal
    }

    /// Of a token that is not the asker's to know about, no more than that it is not active here (§2.2).
    private func describe(_ token: String, for asker: Principal) async throws -> JSON {
        guard token.utf8.count <= 8192 else { return Self.inactive }
        func mayKnow(_ tenant: String, _ limits: RoomLimits?) -> Bool {
            asker.administersAuth || tenant == asker.tenant && asker.limits?.contain(limits) ?? true
        }
        if token.hasPrefix(Secret.Prefix.refreshToken.rawValue) {
            guard let found = try await self.refreshToken(token), mayKnow(found.tenant, found.limits) else {
                return Self.inactive
            }
            return found.description
        }
        do throws(AccessError) {
            // Without an address: a key that is bound to some is not active for one that nobody names.
            let principal = try await self.credentials.verify(token, nil)
            guard mayKnow(principal.tenant, principal.limits) else { return Self.inactive }
            return self.describe(principal, token)
        } catch {
            guard error != .unavailable else {
                throw APIFailure.unavailable("Credentials cannot be verified at the moment")
            }
            return Self.inactive
        }
    }

    private func describe(_ principal: Principal, _ token: String) -> JSON {
        // Verified already; this only reads what it says of itself.
        let claims = principal.credential == .jwt ? Self.claims(of: token) : nil
        var answer: [String: JSON] = [
            "active": true, "scope": .string(principal.scopes.claim), "username": .string(principal.name),
            "token_type": "Bearer", "sub": .string(principal.subject),
            "aud": claims?["aud"] ?? .string(AccessTokenClaims.audience),
            "iss": claims?["iss"] ?? .string(self.issuer), "jti": .string(principal.credentialID),
            "tenant": .string(principal.tenant),
        ]
        answer["client_id"] = principal.client.map(JSON.string)
        answer["sid"] = principal.session.map(JSON.string)
        answer["origin"] = principal.origin.map(JSON.string)
        answer["exp"] = (principal.expires?.seconds).map(JSON.integer)
        answer["iat"] = (principal.issued?.seconds).map(JSON.integer)
        for (field, ids) in RoomLists(principal.limits).lists { answer[field] = .array(ids.map(JSON.string)) }
        return .object(answer)
    }

    private static func claims(of token: String) -> JSON? {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        let plain = parts[1].replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - plain.count % 4) % 4)
        return Data(base64Encoded: plain + padding).flatMap { JSON(parsing: Array($0)) }
    }

    private func refreshToken(_ token: String) async throws -> (tenant: String, limits: RoomLimits?, description: JSON)?
    {
        let rows = try await self.database.query(
            """
            SELECT s.id, s.client_id, s.tenant, s.stations, s.scope, s.expires_at, r.created_at, u.id AS user_id, u.name FROM refresh_tokens r
            JOIN sessions s ON s.id = r.session_id JOIN users u ON u.id = s.user_id
            WHERE r.hash = \(Secret.hash(token)) AND r.used_at IS NULL AND s.revoked_at IS NULL AND s.expires_at > now()
                AND u.disabled_at IS NULL
            """)
        guard let row = rows.first else { return nil }
        let tenant = try row.decode("tenant", as: String.self)
        var answer: [String: JSON] = [
            "active": true, "scope": .string(try row.decode("scope")), "username": .string(try row.decode("name")),
            "sub": .string(try row.decode("user_id")), "iss": .string(self.issuer),
            "aud": .string(self.issuer), "tenant": .string(tenant),
            "sid": .string(try row.decode("id")),
            "exp": .integer(try row.decode("expires_at", as: Timestamp.self).seconds),
            "iat": .integer(try row.decode("created_at", as: Timestamp.self).seconds),
        ]
        answer["client_id"] = try row.decode("client_id", as: String?.self).map(JSON.string)
        let stations = try row.decode("stations", as: [String]?.self)
        return (tenant, RoomLists(stations: stations).limits, .object(answer))
    }
}

extension Timestamp {
    /// Seconds since 1970, rounded down.
    fileprivate var seconds: Int64 { self.milliseconds / 1000 }
}
