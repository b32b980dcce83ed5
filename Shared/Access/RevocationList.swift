public import Events

/// Revocations by what they name, so that one principal costs a few look-ups however many there are.
public struct RevocationList: Sendable {
    private struct Name: Hashable {
        let kind: CredentialRevoked.Kind
        let id: String
    }

    private var entries: [Name: CredentialRevoked] = [:]
    private let max: Int

    /// Clocks differ, and a token counts a little longer than it says.
    private static let grace = Duration.seconds(600)

    /// - Parameter max: how many are kept. When there are more, those go first that end first.
    public init(_ revocations: [CredentialRevoked] = [], max: Int = 100_000) {
        self.max = max
        for revocation in revocations { self.insert(revocation) }
    }

    public var count: Int { self.entries.count }

    public var all: [CredentialRevoked] { Array(self.entries.values) }

    /// `false`: it says nothing that was not known.
    @discardableResult
    public mutating func insert(_ revocation: CredentialRevoked, at now: Timestamp = .now) -> Bool {
        guard !Self.hasEnded(revocation, at: now) else { return false }
        let name = Name(kind: revocation.kind, id: revocation.id)
        let known = self.entries[name]
        let joined = known.map { Self.join($0, revocation) } ?? revocation
        guard joined != known else { return false }
        if known == nil, self.entries.count >= self.max { self.makeRoom() }
        self.entries[name] = joined
        return true
    }

    /// Whether any of them ends what that principal may do.
    public func concerns(_ principal: Principal) -> Bool {
        guard !self.entries.isEmpty else { return false }
        return CredentialRevoked.Kind.allCases.contains { kind in
            guard let id = principal.id(for: kind) else { return false }
            return self.entries[Name(kind: kind, id: id)]?.concerns(principal) ?? false
        }
    }

    /// Lets go of what concerns no credential any longer.
    mutating func dropEnded(at now: Timestamp) {
        self.entries = self.entries.filter { !Self.hasEnded($0.value, at: now) }
    }

    private static func hasEnded(_ revocation: CredentialRevoked, at now: Timestamp) -> Bool {
        revocation.until.map { $0 + Self.grace < now } ?? false
    }

    /// Two of the same thing: the later moment counts, and none at all is the latest.
    private static func join(_ one: CredentialRevoked, _ other: CredentialRevoked) -> CredentialRevoked {
        func later(_ one: Timestamp?, _ other: Timestamp?) -> Timestamp? {
            guard let one, let other else { return nil }
            return Swift.max(one, other)
        }
        return CredentialRevoked(
            kind: one.kind, id: one.id, before: later(one.before, other.before), until: later(one.until, other.until))
    }

    private mutating func makeRoom() {
        let order = self.entries.values.sorted { one, other in
            (one.until?.milliseconds ?? .max, one.id) < (other.until?.milliseconds ?? .max, other.id)
        }
        for revocation in order.prefix(Swift.max(1, self.max / 10)) {
            self.entries[Name(kind: revocation.kind, id: revocation.id)] = nil
        }
    }
}

extension Principal {
    /// What a revocation of that kind would name.
    fileprivate func id(for kind: CredentialRevoked.Kind) -> String? {
        switch kind {
        case .token: self.credential == .apiKey ? nil : self.credentialID
        case .client: self.client
        case .apiKey, .session: self.lineage
        case .signingKey: self.signingKey
        case .user: self.subject
        }
    }
}
