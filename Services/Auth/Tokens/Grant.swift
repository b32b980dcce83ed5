import Events
import HTTPTypes
import ServiceKit

/// What a new credential is to be allowed, checked against who asks for it: never more than the asker has.
struct Grant {
    var tenant: String
    var scopes: Scopes
    /// The rooms that it is limited to; `nil`: all of its tenant.
    var limits: RoomLimits?
    var expires: Timestamp?

    /// Everything that an owner may do in their tenant.
    static let everything: Scopes = [.all]

    /// Bounds that keep an access token short enough for a URL.
    private static let scopeBytesMax = 1024
    private static let roomsMax = 50

    /// What was granted before.
    init(tenant: String, scopes: Scopes, limits: RoomLimits?, expires: Timestamp?) {
        self.tenant = tenant
        self.scopes = scopes
        self.limits = limits
        self.expires = expires
    }

    /// - Parameters:
    ///   - tenant: `nil`: the asker's own. Another one needs `auth:admin`.
    ///   - scope: names separated by spaces; `nil`: everything.
    ///   - rooms: without a list, the asker's own.
    ///   - timeToLive: seconds, in `range`; `nil`: `standard`, and without one the credential has no end of its own.
    ///   - until: the latest end, which shortens every lifetime; `nil`: none.
    init(
        for principal: Principal, tenant: String?, scope: String?, rooms: RoomLists = RoomLists(), timeToLive: Int?,
        standard: Int?, range: ClosedRange<Int>, until: Timestamp?
    ) throws(APIFailure) {
        self.tenant = tenant ?? principal.tenant
        guard Self.isName(self.tenant) else {
            throw APIFailure(
                .badRequest, "tenant must be 1 to 64 letters, digits, '-' or '_'", details: ["field": "tenant"])
        }
        guard self.tenant == principal.tenant || principal.administersAuth else {
            throw APIFailure(.forbidden, "Another tenant needs the scope auth:admin", details: ["field": "tenant"])
        }
        self.scopes = try Self.scopes(scope, of: principal)
        self.limits = try Self.limits(rooms, of: principal)
        if let timeToLive, !range.contains(timeToLive) {
            throw APIFailure(
                .badRequest, "The lifetime must be from \(range.lowerBound) to \(range.upperBound) s",
                details: ["field": "ttl_seconds"])
        }
        let asked = (timeToLive ?? standard).map { Timestamp.now + .seconds($0) }
        self.expires = [asked, until?.roundedDownToSecond].compactMap(\.self).min()
    }

    /// Throws 403 unless somebody with that principal's rights could have granted this.
    func requireWithin(_ principal: Principal) throws(APIFailure) {
        _ = try Self.check(self.scopes, of: principal)
        try Self.check(self.limits, of: principal)
    }

    private static func scopes(_ claim: String?, of principal: Principal) throws(APIFailure) -> Scopes {
        guard let claim else { return try Self.check(Self.everything, of: principal) }
        guard claim.utf8.count <= Self.scopeBytesMax else {
            throw APIFailure(
                .badRequest, "scope must be at most \(Self.scopeBytesMax) characters", details: ["field": "scope"])
        }
        let scopes = Scopes(claim: claim)
        guard !scopes.all.isEmpty, scopes.all.allSatisfy(Self.isScope) else {
            throw APIFailure(.badRequest, "scope must be names such as radio:read, or *", details: ["field": "scope"])
        }
        return try Self.check(scopes, of: principal)
    }

    private static func check(_ scopes: Scopes, of principal: Principal) throws(APIFailure) -> Scopes {
        if let excess = scopes.all.first(where: { !principal.scopes.contains($0) }) {
            throw APIFailure(.forbidden, "The scope \(excess) is more than the asker has", details: ["field": "scope"])
        }
        return scopes
    }

    private static func limits(_ asked: RoomLists, of principal: Principal) throws(APIFailure) -> RoomLimits? {
        let given = asked.lists
        guard !given.isEmpty else { return principal.limits }
        let count = given.map(\.ids.count).reduce(0, +)
        for (field, ids) in given where count > Self.roomsMax || !ids.allSatisfy(Self.isName) {
            throw APIFailure(
                .badRequest, "\(field) must be ids, and all lists of rooms together at most \(Self.roomsMax)",
                details: ["field": field])
        }
        try Self.check(asked.limits, of: principal)
        return asked.limits
    }

    private static func check(_ limits: RoomLimits?, of principal: Principal) throws(APIFailure) {
        guard let own = principal.limits, !own.contain(limits) else { return }
        // Without any list, the stations are what is missing most often.
        let kind = RoomLimits.kinds.first { !(limits?[$0] ?? []).isSubset(of: own[$0] ?? []) } ?? .station
        throw APIFailure(
            .forbidden, "A \(kind == .station ? "station" : "room") is not the asker's",
            details: ["field": RoomLists.fields[kind] ?? ""])
    }

    /// A tenant's name, or an id: 1 to 64 letters and digits of ASCII, `-` and `_`.
    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { Self.isAlphanumeric($0) || $0 == 45 || $0 == 95 }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122: true
        default: false
        }
    }

    /// `*`, `domain:verb` or `domain:*`, the last two also with `:name` of the one thing that they are for.
    static func isScope(_ scope: Scope) -> Bool {
        if Array(scope.name.utf8) == [42] { return true }
        let parts = scope.name.utf8.split(separator: 58, omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count) else { return false }
        func isWord(_ part: Substring.UTF8View, _ length: ClosedRange<Int> = 1...32) -> Bool {
            length.contains(part.count) && part.allSatisfy { Self.isAlphanumeric($0) || $0 == 45 }
        }
        return isWord(parts[0]) && (isWord(parts[1]) || parts[1].elementsEqual([42]))
            && (parts.count == 2 || isWord(parts[2], 1...63))
    }
}

extension String {
    /// A name that people gave: 1 to 200 characters, none of them a control character.
    func requireName(field: String) throws(APIFailure) -> String {
        // Scalars, since one character may be made of any number of them.
        let scalars = self.unicodeScalars
        guard (1...200).contains(scalars.count), !scalars.contains(where: { $0.properties.generalCategory == .control })
        else {
            throw APIFailure(
                .badRequest, "\(field) must be 1 to 200 characters, none of them a control character",
                details: ["field": field])
        }
        return self
    }
}
