import Events

extension Principal {
    /// Whom one of our own access tokens, whose signature is good, stands for. Read from what was parsed already: a second decoder would
    /// cost a fifth of the verification.
    init(ofOwnToken token: SignedToken, _ times: TokenTimes) throws(LocalRefusal) {
        let claims = token.claims
        guard let subject = claims["sub"]?.string, let id = claims["jti"]?.string, let scope = claims["scope"]?.string,
            let tenant = claims["tenant"]?.string, let issued = times.issued
        else { throw .claims }
        let (listed, single, name) = (
            try claims.texts("stations"), try claims.text("station_id"), try claims.text("name")
        )
        let limits = RoomLimits(
            stations: (listed ?? single.map { [$0] }).map(Set.init), streams: try claims.texts("streams").map(Set.init),
            cameras: try claims.texts("cameras").map(Set.init),
            obsConnections: try claims.texts("obs_connections").map(Set.init))
        self.init(
            subject: subject, name: name ?? subject, tenant: tenant, scopes: Scopes(claim: scope),
            limits: limits, credential: .jwt, credentialID: id,
            issued: ULID(text: id)?.time ?? Timestamp(issued), expires: Timestamp(times.expires),
            tier: try claims.text("tier").flatMap(Tier.init) ?? .free, client: try claims.text("client_id"),
            session: try claims.text("sid"), origin: try claims.text("origin"), signingKey: token.keyID,
            roles: try claims.texts("roles"))
    }
}

extension JSON {
    /// A claim that is a text, if it is there.
    fileprivate func text(_ name: String) throws(LocalRefusal) -> String? {
        guard let claim = self[name] else { return nil }
        guard let text = claim.string else { throw .claims }
        return text
    }

    /// A claim that is a list of texts, if it is there.
    fileprivate func texts(_ name: String) throws(LocalRefusal) -> [String]? {
        guard let claim = self[name] else { return nil }
        guard let texts = claim.strings else { throw .claims }
        return texts
    }

    /// The texts of a claim that is one or a list of them.
    func names(_ name: String) -> [String] {
        self[name]?.string.map { [$0] } ?? self[name]?.array?.compactMap(\.string) ?? []
    }
}
