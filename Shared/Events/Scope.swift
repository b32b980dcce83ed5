/// One permission, `domain:verb`.
public struct Scope: Sendable, Hashable, Codable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let name: String

    public init(_ name: String) { self.name = name }
    public init(stringLiteral name: String) { self.name = name }

    public var description: String { self.name }

    public init(from decoder: any Decoder) throws { self.name = try decoder.singleValueContainer().decode(String.self) }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.name)
    }

    /// Everything, in the credential's own tenant.
    public static let all: Scope = "*"

    public static let obsRead: Scope = "obs:read"
    /// Pictures of what OBS has, on air or not.
    public static let obsScreenshot: Scope = "obs:screenshot"
    public static let obsSources: Scope = "obs:sources"
    public static let obsScene: Scope = "obs:scene"
    public static let obsStream: Scope = "obs:stream"
    public static let obsConnect: Scope = "obs:connect"
    public static let systemRead: Scope = "system:read"
    public static let streamsRead: Scope = "streams:read"
    public static let streamsWrite: Scope = "streams:write"
    public static let analyticsRead: Scope = "analytics:read"
    public static let recordingsRead: Scope = "recordings:read"
    public static let activitiesRead: Scope = "activities:read"
    public static let activitiesWrite: Scope = "activities:write"
    public static let channelRead: Scope = "channel:read"
    public static let tipsRead: Scope = "tips:read"
    public static let tipsWrite: Scope = "tips:write"
    public static let tipsModeration: Scope = "tips:moderation"
    public static let sessionRead: Scope = "session:read"
    public static let sessionWrite: Scope = "session:write"
    public static let streamLiveRead: Scope = "stream-live:read"
    public static let overlaysRead: Scope = "overlays:read"
    public static let overlaysWrite: Scope = "overlays:write"
    public static let overlaysBroadcast: Scope = "overlays:broadcast"
    public static let kvstoreRead: Scope = "kvstore:read"
    public static let storeRead: Scope = "store:read"
    public static let botRead: Scope = "bot:read"
    public static let radioRead: Scope = "radio:read"
    public static let radioWrite: Scope = "radio:write"
    public static let camerasRead: Scope = "cameras:read"
    public static let camerasWrite: Scope = "cameras:write"
    public static let camerasControl: Scope = "cameras:control"
    /// The audit log, and who is connected from where.
    public static let auditRead: Scope = "audit:read"
    /// Administers auth itself: mints credentials for any tenant, lists and revokes them. Not implied by `*`.
    public static let authAdmin: Scope = "auth:admin"
}

/// The permissions of one principal. `*` implies all but `auth:admin`; `streams:*` implies every verb of `streams`; `obs:scene:studio`
/// is `obs:scene` on the OBS connection `studio` alone, and `obs:*:studio` every verb there.
public struct Scopes: Sendable, Hashable, ExpressibleByArrayLiteral {
    public private(set) var all: Set<Scope>

    public init(_ scopes: some Sequence<Scope>) { self.all = Set(scopes) }
    public init(arrayLiteral scopes: Scope...) { self.all = Set(scopes) }

    /// Reads the `scope` claim: names separated by spaces (RFC 6749 §3.3).
    public init(claim: String) { self.init(claim.split(separator: " ").map { Scope(String($0)) }) }

    /// The `scope` claim, in a fixed order.
    public var claim: String { self.all.map(\.name).sorted().joined(separator: " ") }

    public func contains(_ scope: Scope) -> Bool {
        if self.all.contains(scope) { return true }
        if scope == .authAdmin { return false }
        let parts = scope.name.split(separator: ":", omittingEmptySubsequences: false)
        // Administering auth is not parted by names.
        if parts.count == 3, parts[0] == "auth" { return parts[1] == "admin" && self.all.contains(.authAdmin) }
        if self.all.contains(.all) { return true }
        switch parts.count {
        case 2: return self.all.contains(Scope("\(parts[0]):*"))
        case 3:
            return self.contains(Scope("\(parts[0]):\(parts[1])"))
                || self.all.contains(Scope("\(parts[0]):*:\(parts[2])"))
        default: return false
        }
    }

    /// Whether they allow it on the thing of that name: wholly, or there alone.
    public func contains(_ scope: Scope, on name: String) -> Bool {
        self.contains(scope) || (scope != .authAdmin && self.hasNamed && self.contains(Scope("\(scope):\(name)")))
    }

    /// Whether they allow it on anything at all.
    public func containsSomewhere(_ scope: Scope) -> Bool {
        if self.contains(scope) { return true }
        guard scope != .authAdmin, self.hasNamed, let colon = scope.name.firstIndex(of: ":") else { return false }
        let domain = scope.name[..<colon]
        return self.all.contains { $0.name.hasPrefix("\(scope):") || $0.name.hasPrefix("\(domain):*:") }
    }

    /// Whether any of them is for one thing alone.
    public var hasNamed: Bool { self.all.contains { $0.name.utf8.count { $0 == UInt8(ascii: ":") } == 2 } }
}

extension Scopes: Codable {
    public init(from decoder: any Decoder) throws {
        self.init(claim: try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.claim)
    }
}
