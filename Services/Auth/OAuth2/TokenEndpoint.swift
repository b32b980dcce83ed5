import Access
import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `POST /oauth2/token`: access tokens for a client's credentials, an authorization code or a refresh token (RFC 6749 §3.2).
struct TokenEndpoint {
    let database: Database
    let writer: EventWriter
    let tokens: AccessTokens
    let clients: OAuth2Clients
    let users: Users
    let sessions: Sessions

    /// Of an access token for a client's own credentials.
    private static let lifetime = 3600

    private struct Answer: Encodable {
        let access_token: String
        var token_type = "Bearer"
        let expires_in: Int
        var refresh_token: String?
        let scope: String
    }

    func add(to router: Router<APIContext>) {
        router.post("/oauth2/token") { request, context in
            try await Response.unstored { try await self.answer(request, context) }
        }
    }

    private func answer(_ request: Request, _ context: APIContext) async throws -> Response {
        let form = try TokenForm(try await request.form(), authorization: request.headers[.authorization])
        let client = try await self.clients.authenticate(form.client, address: context.clientAddress)
        guard client.grants.contains(form.type) else {
            throw APIFailure(.badRequest, code: "unauthorized_client", "The client may not use this grant")
        }
        let answer =
            switch form.grant {
            case .clientCredentials: try await self.token(of: client, scope: form.scope, context)
            case .code(let code, let redirectURI, let verifier):
                try await self.exchange(code, redirectURI, verifier, client, context)
            case .refresh(let token): try await self.refresh(token, scope: form.scope, client, context)
            }
        return Response.secret(answer, status: .ok)
    }

    // MARK: client credentials (§4.4)

    private func token(of client: OAuth2Client, scope: String?, _ context: APIContext) async throws -> Answer {
        var principal = client.principal
        if let scope { principal.scopes = try Self.scopes(scope, within: client.scopes) }
        principal.credentialID = ULID().text
        let (now, end) = (Timestamp.now, client.expires?.roundedDownToSecond)
        let expires = [now + .seconds(Self.lifetime), end].compactMap(\.self).min() ?? now
        principal.expires = expires
        principal.credential = client.format == .jwt ? .jwt : .oauth2
        let entry = AuditEntry(
            "token.issue", tenant: client.tenant, actor: client.id, address: context.clientAddress,
            target: principal.credentialID, reason: "client_credentials")
        let (issued, tokens, address) = (principal, self.tokens, context.clientAddress)
        let bound = TokenBound(trail: self.clients.trail)
        let token = try await self.writer.write { mutation in
            // A client that is revoked meanwhile gets nothing.
            let rows = try await mutation.query(
                """
                SELECT 1 FROM oauth_clients
                WHERE id = \(client.id) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
                """)
            guard !rows.isEmpty else { throw ClientProof.invalidClient }
            try await bound.requireRoom(
                for: client.id, of: client.id, tenant: client.tenant, address: address, mutation)
            try await mutation.audit(entry)
            return try await tokens.issue(issued, as: client.format, mutation)
        }
        return Answer(
            access_token: token, expires_in: Int((expires - now).milliseconds / 1000), scope: principal.scopes.claim)
    }

    /// Throws 400 (`invalid_scope`).
    static func scopes(_ claim: String, within limit: Scopes) throws(APIFailure) -> Scopes {
        let scopes = Scopes(claim: claim)
        guard !scopes.all.isEmpty, claim.utf8.count <= 1024, scopes.all.allSatisfy(Grant.isScope),
            scopes.all.allSatisfy(limit.contains)
        else {
            throw APIFailure(
                .badRequest, code: "invalid_scope", "The scope is malformed, or more than there is to give")
        }
        return scopes
    }

    // MARK: authorization code (§4.1.3)

    private func exchange(
        _ code: String, _ redirectURI: String, _ verifier: String, _ client: OAuth2Client, _ context: APIContext
    ) async throws -> Answer {
        guard let known = try await AuthorizationCodes.find(code, self.database), known.consent.client == client.id
        else { throw self.refuse("unknown code", client, context) }
        guard !known.isUsed else { throw try await self.replayed(known.session, client, context) }
        let consent = known.consent
        guard !known.isExpired, consent.redirectURI == redirectURI,
            PKCE.challenge(of: verifier).isSame(inConstantTimeAs: consent.challenge),
            let user = try await self.users.user(consent.user)
        else { throw self.refuse("expired code, or another redirect_uri or code_verifier", client, context) }
        do {
            let issued = try await self.sessions.begin(
                user, tenant: consent.tenant, station: consent.station, scopes: consent.scopes, client: client.id,
                format: client.sessionFormat, address: context.clientAddress
            ) { mutation, session in
                try await AuthorizationCodes.spend(code, for: session, mutation)
            }
            return Self.answer(issued, client)
        } catch is AuthorizationCodes.AlreadySpent {
            let now = try await AuthorizationCodes.find(code, self.database)
            throw try await self.replayed(now?.session, client, context)
        } catch let failure as APIFailure where failure.status == .forbidden {
            // What the user agreed to is no longer theirs to give.
            throw self.refuse("no access left", client, context)
        }
    }

    /// A code that is shown twice was stolen, or its user's was: what it was exchanged for ends (RFC 6749 §4.1.2).
    private func replayed(
        _ session: String?, _ client: OAuth2Client, _ context: APIContext
    ) async throws -> APIFailure {
        if let session {
            try await self.writer.write { mutation in
                try await self.sessions.revoke(session, reason: .codeShownTwice, mutation)
            }
        }
        return self.refuse("code shown twice", client, context)
    }

    private func refuse(_ reason: String, _ client: OAuth2Client, _ context: APIContext) -> APIFailure {
        self.clients.trail.note(
            AuditEntry(
                "token.issue", .refused, tenant: client.tenant, actor: client.id, address: context.clientAddress,
                target: client.id, reason: reason))
        return APIFailure(
            .badRequest, code: "invalid_grant",
            "The code is unknown, expired or used, or redirect_uri or code_verifier is another one")
    }

    // MARK: refresh token (§6)

    private func refresh(
        _ token: String, scope: String?, _ client: OAuth2Client, _ context: APIContext
    ) async throws -> Answer {
        let scopes = try scope.map { claim throws(APIFailure) in try Self.scopes(claim, within: client.scopes) }
        let issued = try await self.sessions.refresh(
            token, client: client.id, scopes: scopes, format: client.sessionFormat,
            from: Device(address: context.clientAddress, userAgent: nil))
        return Self.answer(issued, client)
    }

    private static func answer(_ issued: Sessions.Issued, _ client: OAuth2Client) -> Answer {
        Answer(
            access_token: issued.accessToken, expires_in: issued.expiresIn,
            refresh_token: client.grants.contains(.refreshToken) ? issued.refreshToken : nil,
            scope: issued.scopes.claim)
    }
}

extension OAuth2Client {
    fileprivate var sessionFormat: Sessions.TokenFormat { self.format == .jwt ? .jwt : .opaque }
}

extension Response {
    /// An answer that no cache keeps, be it a refusal (RFC 6749 §5.1).
    static func unstored(_ body: () async throws -> Response) async throws -> Response {
        do {
            var response = try await body()
            response.headers.forbidStoring()
            return response
        } catch var failure as APIFailure {
            failure.headers.forbidStoring()
            throw failure
        }
    }
}
