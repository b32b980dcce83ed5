import Access
import Events
import Hummingbird

/// `/.well-known/oauth-authorization-server` (RFC 8414), and the public keys (RFC 7517).
struct ServerMetadata {
    let issuer: String
    let keys: SigningKeys

    private struct Document: Encodable {
        let issuer: String
        let authorization_endpoint: String
        let token_endpoint: String
        let introspection_endpoint: String
        let revocation_endpoint: String
        let jwks_uri: String
        let service_documentation: String
        let scopes_supported = ScopeWords.known.map(\.name)
        let response_types_supported = ["code"]
        let response_modes_supported = ["query"]
        let grant_types_supported = GrantType.allCases.map(\.rawValue)
        let code_challenge_methods_supported = ["S256"]
        let token_endpoint_auth_methods_supported = ["client_secret_basic", "client_secret_post", "none"]
        let revocation_endpoint_auth_methods_supported = ["client_secret_basic", "client_secret_post", "none"]
        let introspection_endpoint_auth_methods_supported = ["client_secret_basic", "client_secret_post"]
        let authorization_response_iss_parameter_supported = true
    }

    func add(to router: Router<APIContext>) {
        router.get("/.well-known/jwks.json") { _, _ in Response.json(bytes: Array(try await self.keys.jwks().utf8)) }
        router.get("/.well-known/oauth-authorization-server") { _, _ in Response.json(self.document) }
    }

    private var document: Document {
        let base = self.issuer.hasSuffix("/") ? String(self.issuer.dropLast()) : self.issuer
        return Document(
            issuer: self.issuer, authorization_endpoint: base + "/oauth2/authorize",
            token_endpoint: base + "/oauth2/token", introspection_endpoint: base + "/oauth2/introspect",
            revocation_endpoint: base + "/oauth2/revoke", jwks_uri: base + "/.well-known/jwks.json",
            service_documentation: base + "/openapi.yaml")
    }
}
