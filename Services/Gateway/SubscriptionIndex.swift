import Events
import NIOConcurrencyHelpers

/// What an event must match to reach a client.
struct FilterKey: Hashable {
    /// The dialect's place in the registry.
    let dialect: Int
    let tenant: String
    let key: String
}

/// Who listens to what, on one loop. Clients are the listeners.
struct SubscriptionIndex<Listener: AnyObject & Identifiable> {
    /// The listeners of one key.
    final class Listeners {
        fileprivate(set) var entries: [(client: Listener, grant: Grant)] = []
        fileprivate var slots: [Listener.ID: Int] = [:]
    }

    private var listeners: [FilterKey: Listeners] = [:]

    subscript(_ key: FilterKey) -> Listeners? { self.listeners[key] }

    /// Adds a client under a key; one that is there already takes the new grant.
    mutating func insert(_ client: Listener, under key: FilterKey, grant: Grant) {
        let listeners = self.listeners[key] ?? Listeners()
        self.listeners[key] = listeners
        if let slot = listeners.slots[client.id] {
            listeners.entries[slot].grant = grant
        } else {
            listeners.slots[client.id] = listeners.entries.count
            listeners.entries.append((client, grant))
        }
    }

    mutating func remove(_ client: Listener, under key: FilterKey) {
        guard let listeners = self.listeners[key], let slot = listeners.slots.removeValue(forKey: client.id) else {
            return
        }
        let last = listeners.entries.removeLast()
        if last.client !== client {
            listeners.entries[slot] = last
            listeners.slots[last.client.id] = slot
        }
        if listeners.entries.isEmpty { self.listeners[key] = nil }
    }
}

/// What a principal may see, worked out once.
final class Grant {
    let principal: Principal
    private let allowed: [Bool]
    private let limits: RoomLimits?
    /// Whether what it may see depends on the room's name.
    private let hasNamedScopes: Bool

    /// What scopes and limits allow, of the kinds of events in the catalogue's order: many principals have the same.
    private struct Rights: Hashable {
        let scopes: Scopes
        let isAnonymous: Bool
        /// The kinds of rooms that are within the limits; `nil` without any.
        let reachable: Set<RoomKind>?
    }

    private static let known = NIOLockedValueBox<[Rights: [Bool]]>([:])
    /// Beyond, all are forgotten at once.
    private static let knownMax = 1000

    init(_ principal: Principal) {
        self.principal = principal
        self.limits = principal.limits
        self.hasNamedScopes = principal.scopes.hasNamed
        let rights = Rights(
            scopes: principal.scopes, isAnonymous: principal.credential == .anonymous,
            reachable: self.limits?.reachable)
        self.allowed = Self.known.withLockedValue { known in
            if let allowed = known[rights] { return allowed }
            if known.count >= Self.knownMax { known.removeAll() }
            let allowed = Catalogue.entries.map { principal.maySee($0) }
            known[rights] = allowed
            return allowed
        }
    }

    /// Whether there can be events of that kind that it allows.
    func mayAllow(_ entry: CatalogueEntry) -> Bool {
        self.allowed[entry.index]
    }

    /// The tenant is right already: it is part of the key.
    func allows(_ entry: CatalogueEntry, room: String) -> Bool {
        guard self.allowed[entry.index] else { return false }
        // For what concerns the whole channel, all has been worked out.
        if let limits = self.limits, let rooms = limits[entry.room], !rooms.contains(room) { return false }
        return entry.room != .obsConnection || !self.hasNamedScopes || self.principal.maySee(entry, room: room)
    }
}
