import Events

/// Everybody whose credential was verified on one connection, which is as long as they come: on Astro each subscription may bring another.
struct VerifiedPrincipals {
    /// Mostly one; none twice.
    private var principals: [Principal] = []

    /// How many there are before those that have expired go.
    private static let tidyCount = 64
    /// None of them may be dropped, or its revocation would not be noticed.
    private static let max = 256

    var count: Int { self.principals.count }

    var tenants: Set<String> { Set(self.principals.map(\.tenant)) }

    /// Returns whether there are any, and all are of that tenant.
    func areAll(of tenant: String) -> Bool {
        !self.principals.isEmpty && self.principals.allSatisfy { $0.tenant == tenant }
    }

    /// `false`: there are too many that have not expired.
    mutating func note(_ principal: Principal, at now: Timestamp) -> Bool {
        guard !self.principals.contains(principal) else { return true }
        if self.principals.count >= Self.tidyCount {
            self.principals = self.principals.filter { $0.expires.map { $0 > now } ?? true }
        }
        guard self.principals.count < Self.max else { return false }
        self.principals.append(principal)
        return true
    }

    func contains(where matches: (Principal) -> Bool) -> Bool { self.principals.contains(where: matches) }
}
