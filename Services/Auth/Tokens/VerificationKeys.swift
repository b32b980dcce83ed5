import Access
import Events

/// Whose signatures are good, for auth's own judgement: what `FetchKeys` tells the others.
actor VerificationKeys {
    private let keys: SigningKeys
    private let issuers: TrustedIssuers
    private var known: (answer: FetchKeys.Answer, sets: KeySets)?

    init(_ keys: SigningKeys, _ issuers: TrustedIssuers) {
        self.keys = keys
        self.issuers = issuers
    }

    /// Answers `FetchKeys`. Throws `CommandFailure.unavailable` until the signing keys are loaded.
    /// - Parameter issuer: one of whose keys a token names another one.
    func answer(missing issuer: String? = nil) async throws -> FetchKeys.Answer {
        if let issuer { await self.issuers.demand(issuer) }
        return FetchKeys.Answer(
            issuer: self.keys.issuer, jwks: try await self.keys.jwks(), others: await self.issuers.all)
    }

    func sets(missing issuer: String? = nil) async throws -> KeySets {
        let answer = try await self.answer(missing: issuer)
        if let known, known.answer == answer { return known.sets }
        let sets = await KeySets(answer)
        self.known = (answer, sets)
        return sets
    }
}
