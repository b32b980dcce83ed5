/// The subject of a right: the whole channel, or one thing in it.
public enum Room: Sendable, Hashable {
    case channel
    case station(String)
    case stream(String)
    case camera(String)
    /// An OBS connection, by its name.
    case obsConnection(String)
}

extension RoomKind {
    /// The room of an event of this kind. Sources and what concerns the machine are the whole channel's.
    public func room(named name: String) -> Room {
        switch self {
        case .none, .source, .channel: .channel
        case .station: .station(name)
        case .stream: .stream(name)
        case .camera: .camera(name)
        case .obsConnection: .obsConnection(name)
        }
    }
}

/// The rooms that a credential is limited to: those that are listed, and none of a kind that has no list.
public struct RoomLimits: Sendable, Hashable {
    public var stations: Set<String>?
    public var streams: Set<String>?
    public var cameras: Set<String>?
    /// By their names.
    public var obsConnections: Set<String>?

    public init(
        stations: Set<String>? = nil, streams: Set<String>? = nil, cameras: Set<String>? = nil,
        obsConnections: Set<String>? = nil
    ) {
        self.stations = stations
        self.streams = streams
        self.cameras = cameras
        self.obsConnections = obsConnections
    }

    /// The kinds of rooms that can be listed.
    public static let kinds: [RoomKind] = [.station, .stream, .camera, .obsConnection]

    /// The list for a kind of room. `nil` if there is none.
    public subscript(kind: RoomKind) -> Set<String>? {
        switch kind {
        case .none, .source, .channel: nil
        case .station: self.stations
        case .stream: self.streams
        case .camera: self.cameras
        case .obsConnection: self.obsConnections
        }
    }

    /// The kinds that have a list.
    public var kinds: Set<RoomKind> { Set(Self.kinds.filter { self[$0] != nil }) }

    /// Whether there is no list at all, and so no limit.
    public var isEmpty: Bool { self.kinds.isEmpty }

    /// The kinds of which at least one room is listed.
    public var reachable: Set<RoomKind> { Set(Self.kinds.filter { self[$0]?.isEmpty == false }) }

    /// Returns whether every room of the others is listed here. `nil` is no limit, which is beyond any.
    public func contain(_ other: RoomLimits?) -> Bool {
        guard let other else { return false }
        return Self.kinds.allSatisfy { (other[$0] ?? []).isSubset(of: self[$0] ?? []) }
    }

    /// Returns whether they leave a scope in force in a room.
    public func permit(_ scope: Scope, on room: Room) -> Bool {
        switch room {
        case .channel: Scope.readsOfLimited.contains(scope)
        case .station(let id): self.stations?.contains(id) ?? false
        case .stream(let id): self.streams?.contains(id) ?? false
        case .camera(let id): self.cameras?.contains(id) ?? false
        case .obsConnection(let name): self.obsConnections?.contains(name) ?? false
        }
    }

    /// Returns whether they leave a scope in force in any room.
    public func permitSomewhere(_ scope: Scope) -> Bool {
        Scope.readsOfLimited.contains(scope) || !Scope.roomKinds(of: scope).isDisjoint(with: self.reachable)
    }
}

extension Scope {
    /// The scopes that a credential keeps for the whole channel when it is limited to rooms: reads of what the channel shows its
    /// audience.
    public static let readsOfLimited: Set<Scope> = [.radioRead, .streamLiveRead, .channelRead]

    /// The kinds of rooms in which a domain's scopes hold for a credential that is limited to rooms. A domain that is not listed
    /// concerns the whole channel: `system`, `activities`, `tips`, `session`, `overlays`, `audit`, …
    public static let roomKinds: [String: Set<RoomKind>] = [
        "radio": [.station], "streams": [.stream], "analytics": [.stream], "recordings": [.stream],
        "cameras": [.camera], "obs": [.obsConnection],
        // The users with a role at one of the stations, and the credentials that are limited to the same rooms.
        "users": [.station], "keys": Set(RoomLimits.kinds),
    ]

    fileprivate static func roomKinds(of scope: Scope) -> Set<RoomKind> {
        Self.roomKinds[String(scope.name.prefix { $0 != ":" })] ?? []
    }
}

extension Principal {
    /// Returns whether it may do what a scope stands for in a room of its tenant.
    public func permits(_ scope: Scope, on room: Room) -> Bool {
        let isHeld =
            if case .obsConnection(let name) = room { self.scopes.contains(scope, on: name) } else {
                self.scopes.contains(scope)
            }
        return isHeld && self.limits?.permit(scope, on: room) ?? true
    }

    /// Whether there can be a room in which it may do what a scope stands for. Whatever is listed or changed then has to be asked
    /// for by its own room.
    public func permitsSomewhere(_ scope: Scope) -> Bool {
        self.scopes.containsSomewhere(scope) && self.limits?.permitSomewhere(scope) ?? true
    }

    /// Whether it administers auth itself, whatever the tenant. A credential that is limited to rooms never does.
    public var administersAuth: Bool { self.permits(.authAdmin, on: .channel) }

    /// Returns whether an event of this kind and room may be shown to it, given that the tenant is right.
    public func maySee(_ entry: CatalogueEntry, room: String) -> Bool {
        guard let scope = entry.scope else { return self.maySee(entry) }
        return self.permits(scope, on: entry.room.room(named: room))
    }

    /// Whether events of this kind may be shown to it at all. One that needs no scope still needs a credential for the whole channel.
    public func maySee(_ entry: CatalogueEntry) -> Bool {
        guard let scope = entry.scope else { return self.credential != .anonymous && self.limits == nil }
        guard entry.room == .obsConnection ? self.scopes.containsSomewhere(scope) : self.scopes.contains(scope) else {
            return false
        }
        guard let limits = self.limits else { return true }
        return entry.room.room(named: "") == .channel
            ? limits.permit(scope, on: .channel) : limits[entry.room]?.isEmpty == false
    }
}
