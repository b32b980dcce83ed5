public import Events
public import FoundationEssentials
import JWTKit

/// Whose signatures are good here: our own issuer's, and those of the issuers that auth trusts.
public struct KeySets: Sendable {
    private struct Other {
        let issuer: TrustedIssuer
        let keys: KeySet
    }

    private let issuer: String
    private let own: KeySet
    private let others: [String: Other]

    /// How our own tokens are signed.
    private static let ownAlgorithms: Set = ["ES256"]
    /// The type of an access token (RFC 9068 §2.1).
    private static let accessTokenType = "at+jwt"
    /// Claims that only ID tokens have (OpenID Connect Core §2, §3.1.3.6).
    private static let idTokenClaims = ["nonce", "at_hash"]

    public init(_ answer: FetchKeys.Answer) async {
        self.issuer = answer.issuer
        self.own = await KeySet(jwks: answer.jwks, algorithms: Self.ownAlgorithms)
        var others: [String: Other] = [:]
        for other in answer.others ?? [] where other.issuer != answer.issuer {
            let keys = await KeySet(jwks: other.jwks ?? "", algorithms: Set(other.algorithms))
            others[other.issuer] = Other(issuer: other, keys: keys)
        }
        self.others = others
    }

    var isEmpty: Bool { self.own.isEmpty }

    /// Whether the token's key is known. A token of an unknown issuer needs none.
    func hasKey(of token: SignedToken) -> Bool {
        if token.issuer == self.issuer { return self.own.has(token.keyID) }
        return self.others[token.issuer].map { $0.keys.has(token.keyID) } ?? true
    }

    /// Whether the token is of an issuer whose keys auth has not got yet.
    func awaitsKeys(of token: SignedToken) -> Bool {
        self.others[token.issuer].map { $0.issuer.jwks == nil } ?? false
    }

    /// Verifies the token (RFC 8725) and says whose it is. `.key`: its key is not among these.
    public func principal(of token: SignedToken, at now: Date = Date()) throws(LocalRefusal) -> Principal {
        if token.issuer == self.issuer {
            guard token.type == Self.accessTokenType else { throw .type }
            try Self.verify(token, with: self.own.key(token.keyID, token.algorithm))
            return try Self.own(token, at: now)
        }
        guard let other = self.others[token.issuer] else { throw .issuer }
        guard (other.issuer.types ?? [Self.accessTokenType]).contains(token.type ?? ""),
            !Self.idTokenClaims.contains(where: { token.claims[$0] != nil })
        else { throw .type }
        try Self.verify(token, with: other.keys.key(token.keyID, token.algorithm))
        return try other.issuer.principal(of: token, at: now)
    }

    private static func verify(_ token: SignedToken, with key: any JWTAlgorithm) throws(LocalRefusal) {
        // `try?`: bytes that cannot be a signature of that algorithm are not its signature.
        guard (try? key.verify(token.signature, signs: token.signed)) == true else { throw .signature }
    }

    private static func own(_ token: SignedToken, at now: Date) throws(LocalRefusal) -> Principal {
        let times = try TokenTimes(token.claims)
        try times.check(at: now)
        guard token.claims.names("aud").contains(AccessTokenClaims.audience) else { throw .audience }
        return try Principal(ofOwnToken: token, times)
    }
}
