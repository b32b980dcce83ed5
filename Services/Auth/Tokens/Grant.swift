import Events
import HTTPTypes
import ServiceKit

/// What a new credential is to be allowed, checked against who asks for it: never more than the asker has.
struct Grant {
    var tenant: String
    var scopes: Scopes
    /// The stations that it may see; `nil`: all of its tenant.
    var stations: [String]?
    var expires: Timestamp?

    /// Everything that an owner may do in their tenant.
    static let everything: Scopes = [.all]

    /// Bounds that keep an access token short enough for a URL.
    private static let scopeBytesMax = 1024
    private static let stationsMax = 50

    /// What was granted before.
    init(tenant: String, scopes: Scopes, stations: [String]?, expires: Timestamp?) {
        self.tenant = tenant
        self.scopes = scopes
        self.stations = stations
        self.expires = expires
    }

    /// - Parameters:
    ///   - tenant: `nil`: the asker's own. Another one needs `auth:admin`.
    ///   - scope: names separated by spaces; `nil`: everything.
    ///   - stations: `nil`: the asker's own.
    ///   - timeToLive: seconds, in `range`; `nil`: `standard`, and without one the credential has no end.
    init(
        for principal: Principal, tenant: String?, scope: String?, stations: [String]? = nil, timeToLive: Int?,
        standard: Int?, range: ClosedRange<Int>
    ) throws(APIFailure) {
        self.tenant = tenant ?? principal.tenant
        guard Self.isName(self.tenant) else {
            throw APIFailure(
                .badRequest, "tenant must be 1 to 64 letters, digits, '-' or '_'", details: ["field": "tenant"])
        }
        guard self.tenant == principal.tenant || principal.scopes.contains(.authAdmin) else {
            throw APIFailure(.forbidden, "Another tenant needs the scope auth:admin", details: ["field": "tenant"])
        }
        self.scopes = try Self.scopes(scope, of: principal)
        self.stations = try Self.stations(stations, of: principal)
        if let timeToLive, !range.contains(timeToLive) {
            throw APIFailure(
                .badRequest, "The lifetime must be from \(range.lowerBound) to \(range.upperBound) s",
                details: ["field": "ttl_seconds"])
        }
        self.expires = (timeToLive ?? standard).map { Timestamp.now + .seconds($0) }
    }

    /// Throws 403 unless somebody with that principal's rights could have granted this.
    func requireWithin(_ principal: Principal) throws(APIFailure) {
        _ = try Self.check(self.scopes, of: principal)
        guard let limit = principal.stations else { return }
        guard let stations = self.stations, limit.isSuperset(of: stations) else {
            throw APIFailure(.forbidden, "A station is not the asker's", details: ["field": "stations"])
        }
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

    private static func stations(_ asked: [String]?, of principal: Principal) throws(APIFailure) -> [String]? {
        guard let asked else { return principal.stations?.sorted() }
        guard asked.count <= Self.stationsMax, asked.allSatisfy(Self.isName) else {
            throw APIFailure(
                .badRequest, "stations must be at most \(Self.stationsMax) ids", details: ["field": "stations"])
        }
        guard principal.stations?.isSuperset(of: asked) ?? true else {
            throw APIFailure(.forbidden, "A station is not the asker's", details: ["field": "stations"])
        }
        return asked
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
