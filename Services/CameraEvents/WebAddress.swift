/// As much of a URL as the checks here need. Nothing of it is ever fetched.
struct WebAddress: Equatable {
    let scheme: String
    let host: Substring
    let hasUser: Bool

    /// `nil` for what is not `scheme://[user@]host…`, or holds spaces or control characters.
    init?(_ text: String) {
        guard let end = text.firstRange(of: "://"), text.unicodeScalars.allSatisfy({ $0.value > 32 && $0.value != 127 })
        else {
            return nil
        }
        let authority = text[end.upperBound...].prefix { !"/?#\\".contains($0) }
        let at = authority.lastIndex(of: "@")
        let host = at.map { authority[authority.index(after: $0)...] } ?? authority
        guard host.first.map({ $0 != ":" }) ?? false else { return nil }
        self.scheme = text[..<end.lowerBound].lowercased()
        self.host = host
        self.hasUser = at != nil
    }

    /// What may be shown to those who may not read its secrets: a user, a path and a query may each hold one.
    var masked: String { "\(self.scheme)://\(self.host)/***" }
}
