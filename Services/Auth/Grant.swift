import Events
import HTTPTypes
import ServiceKit

/// What a new credential is to be allowed, checked against who asks for it.
struct Grant {
    var tenant: String
    var scopes: Scopes
    var expires: Timestamp?

    /// Everything that an owner may do in their tenant.
    static let everything: Scopes = [.all]

    /// - Parameters:
    ///   - tenant: `nil`: the asker's own. Another one needs `auth:admin`.
    ///   - scope: names separated by spaces; `nil`: everything.
    ///   - timeToLive: seconds, in `range`; `nil`: `standard`, and without one the credential has no end.
    init(
        for principal: Principal, tenant: String?, scope: String?, timeToLive: Int?, standard: Int?,
        range: ClosedRange<Int>
    ) throws(APIFailure) {
        self.tenant = tenant ?? principal.tenant
        guard Self.isName(self.tenant) else {
            throw APIFailure(
                .badRequest, "tenant must be 1 to 64 letters, digits, '-' or '_'", details: ["field": "tenant"])
        }
        guard self.tenant == principal.tenant || principal.scopes.contains(.authAdmin) else {
            throw APIFailure(.forbidden, "Another tenant needs the scope auth:admin", details: ["field": "tenant"])
        }
        self.scopes = scope.map(Scopes.init(claim:)) ?? Self.everything
        guard !self.scopes.all.isEmpty, self.scopes.all.allSatisfy(Self.isScope) else {
            throw APIFailure(.badRequest, "scope must be names such as radio:read, or *", details: ["field": "scope"])
        }
        if let excess = self.scopes.all.first(where: { !principal.scopes.contains($0) }) {
            throw APIFailure(.forbidden, "The scope \(excess) is more than the asker has", details: ["field": "scope"])
        }
        if let timeToLive, !range.contains(timeToLive) {
            throw APIFailure(
                .badRequest, "The lifetime must be from \(range.lowerBound) to \(range.upperBound) s",
                details: ["field": "ttl_seconds"])
        }
        self.expires = (timeToLive ?? standard).map { Timestamp.now + .seconds($0) }
    }

    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                Character(UnicodeScalar($0)).isLetter || (48...57).contains($0) || $0 == 45 || $0 == 95
            }
            && text.allSatisfy(\.isASCII)
    }

    private static func isScope(_ scope: Scope) -> Bool {
        if scope == .all { return true }
        let parts = scope.name.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 2
            && parts.allSatisfy { part in
                part == "*"
                    || (1...32).contains(part.utf8.count)
                        && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
            } && parts[0] != "*"
    }
}

extension String {
    /// A name that people gave: 1 to 200 characters, none of them a control character.
    func requireName(field: String) throws(APIFailure) -> String {
        guard (1...200).contains(self.count), !self.unicodeScalars.contains(where: { $0.value < 32 }) else {
            throw APIFailure(.badRequest, "\(field) must be 1 to 200 characters", details: ["field": field])
        }
        return self
    }
}
