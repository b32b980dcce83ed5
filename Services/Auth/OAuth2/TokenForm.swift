import HTTPTypes
import ServiceKit

/// What a client may exchange for an access token.
enum GrantType: String, Sendable, CaseIterable, Codable {
    case clientCredentials = "client_credentials"
    case authorizationCode = "authorization_code"
    case refreshToken = "refresh_token"
}

/// A token request (RFC 6749 §4.1.3, §4.4.2 and §6, RFC 7636 §4.5).
struct TokenForm: Equatable, Sendable {
    enum Grant: Equatable, Sendable {
        case clientCredentials
        case code(String, redirectURI: String, verifier: String)
        case refresh(String)
    }

    let client: ClientProof
    let grant: Grant
    /// A part of what the client or the refresh token has; a code's scope is what was consented to.
    let scope: String?

    init(_ form: FormParameters, authorization: String?) throws(APIFailure) {
        try form.requireNoneRepeated()
        guard let grant = GrantType(rawValue: try form.require("grant_type")) else {
            throw APIFailure(
                .badRequest, code: "unsupported_grant_type",
                "grant_type must be one of \(GrantType.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self.client = try ClientProof(form, authorization: authorization)
        self.scope = form["scope"]
        switch grant {
        case .clientCredentials: self.grant = .clientCredentials
        case .refreshToken: self.grant = .refresh(try form.require("refresh_token"))
        case .authorizationCode:
            let verifier = try form.require("code_verifier")
            guard PKCE.isVerifier(verifier) else {
                throw FormParameters.invalid("code_verifier must be 43 to 128 letters, digits, '-', '.', '_' or '~'")
            }
            self.grant = .code(
                try form.require("code"), redirectURI: try form.require("redirect_uri"), verifier: verifier)
        }
    }

    /// The grant as its client is allowed it.
    var type: GrantType {
        switch self.grant {
        case .clientCredentials: .clientCredentials
        case .code: .authorizationCode
        case .refresh: .refreshToken
        }
    }
}
