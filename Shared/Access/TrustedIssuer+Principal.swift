import Events
import FoundationEssentials

extension TrustedIssuer {
    private static let subjectBytesMax = 255
    private static let nameBytesMax = 100
    private static let idBytesMax = 128
    /// As long as a revocation is kept; a token that counted longer would outlive its own.
    private static let lifetimeMax = 30 * 86_400.0

    /// Whom a token of this issuer, whose signature is good, stands for here.
    func principal(of token: SignedToken, at now: Date) throws(LocalRefusal) -> Principal {
        let claims = token.claims
        let times = try TokenTimes(claims)
        try times.check(at: now)
        // RFC 9068 §2.2; and a revocation of what was issued before some moment must reach it.
        guard let issued = times.issued else { throw .claims }
        let expires = min(times.expires, issued.addingTimeInterval(Self.lifetimeMax))
        guard expires.addingTimeInterval(AccessTokenClaims.leeway) > now else { throw .expired }
        guard Self.names(claims["aud"]).contains(self.audience) else { throw .audience }
        guard let subject = Self.text(claims["sub"], max: Self.subjectBytesMax) else { throw .claims }
        let scopes = self.scopes(claims)
        // Whoever may sign in there has not been given anything here by that alone.
        guard !scopes.all.isEmpty else { throw .scope }
        let name = ["name", "preferred_username", "email"].lazy.compactMap {
            Self.text(claims[$0], max: Self.nameBytesMax)
        }.first
        return Principal(
            subject: "\(self.name)|\(subject)", name: name ?? subject, tenant: try self.tenant(claims), scopes: scopes,
            credential: .jwt, credentialID: Self.text(claims["jti"], max: Self.idBytesMax) ?? token.fingerprint,
            issued: Timestamp(issued), expires: Timestamp(expires), signingKey: token.keyID)
    }

    private func tenant(_ claims: JSON) throws(LocalRefusal) -> String {
        guard let claim = self.tenantClaim else {
            guard let tenant = self.tenants.first else { throw .tenant }
            return tenant
        }
        let named = Self.names(Self.member(claim, of: claims)).filter(self.tenants.contains)
        guard named.count == 1, let tenant = named.first else { throw .tenant }
        return tenant
    }

    private func scopes(_ claims: JSON) -> Scopes {
        let given = self.rules.filter { $0.matches(Self.member($0.claim, of: claims)) }
        let scopes = given.flatMap { Scopes(claim: $0.scope).all }
        // Who administers auth is never somebody else's to say.
        return Scopes(scopes.filter { $0 != .authAdmin })
    }

    /// By its name, or along the dots of it: `realm_access.roles`.
    private static func member(_ name: String, of claims: JSON) -> JSON? {
        if let exact = claims[name] { return exact }
        return name.split(separator: ".").reduce(claims) { (value: JSON?, part) in value?[String(part)] }
    }

    /// The texts of a claim that is one or a list of them.
    fileprivate static func names(_ claim: JSON?) -> [String] {
        if let text = claim?.string { return [text] }
        return claim?.array?.compactMap(\.string) ?? []
    }

    /// `nil`: not a text, empty, too long, or with characters that nobody can see.
    private static func text(_ claim: JSON?, max: Int) -> String? {
        guard let text = claim?.string, !text.isEmpty, text.utf8.count <= max,
            text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        else { return nil }
        return text
    }
}

extension TrustedIssuer.Rule {
    fileprivate func matches(_ claim: JSON?) -> Bool {
        guard let claim, claim != .null else { return false }
        if self.value == "*" { return true }
        switch claim {
        case .string(let text): return text == self.value || text.split(separator: " ").contains { $0 == self.value }
        case .array: return TrustedIssuer.names(claim).contains(self.value)
        case .bool(let flag): return self.value == "\(flag)"
        case .integer(let number): return self.value == "\(number)"
        case .null, .number, .object: return false
        }
    }
}
