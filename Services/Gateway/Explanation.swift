import Dialects
import Events
import WebSockets

/// What became of an event on a connection, as operators are told.
struct Explanation: Sendable, Encodable {
    let connection: String
    let event: String
    let type: String
    /// `delivered`, `filtered by …`, `not entitled: …`, `conflated`, `closed: …` and the like.
    let answer: String
    let eventTenant: String
    /// Of everybody who has shown a credential on the connection.
    let connectionTenants: Set<String>

    /// Who may not see both the event and the connection learns nothing.
    func isShown(to tenant: String) -> Bool { self.eventTenant == tenant && self.connectionTenants == [tenant] }

    private enum CodingKeys: String, CodingKey { case connection, event, type, answer }
}

/// What must be known of a connection to explain what became of an event on it; it outlives the connection for a while.
struct ClientTrace {
    let id: ConnectionID
    let dialect: Int
    let tenants: Set<String>
    let filters: [FilterKey: Client.Filter]
    let losses: ClientLosses
    /// The last event before it came.
    let opened: UInt64
    /// What it was told from the logs.
    let catchUp: CatchUp?
    /// What waits for it, or waited when it was closed.
    let unsent: Set<UInt64>
    /// How it ended, and the last event before that.
    let end: (closed: ClientDescription.Closed, number: UInt64)?

    init(_ client: Client, end: (closed: ClientDescription.Closed, number: UInt64)? = nil, unsent: [UInt64]) {
        self.id = client.id
        self.dialect = client.dialect
        self.tenants = client.verified.tenants
        self.filters = client.filters
        self.losses = client.losses
        self.opened = client.opened
        self.catchUp = end == nil ? client.catchUp : client.catchUp?.ended
        self.unsent = Set(unsent)
        self.end = end
    }

    func explain(_ entry: EventHistory.Entry, in dialect: any Dialect) -> Explanation {
        Explanation(
            connection: self.id.description, event: entry.event.id.text, type: entry.event.type.name,
            answer: self.answer(entry, dialect), eventTenant: entry.event.tenant, connectionTenants: self.tenants)
    }

    private func answer(_ entry: EventHistory.Entry, _ dialect: any Dialect) -> String {
        if let end = self.end, entry.number > end.number { return "closed: \(end.closed.code) \(end.closed.reason)" }
        let event = entry.event
        let isReplayed = self.catchUp?.replayed(event) ?? false
        let isBefore = entry.number <= self.opened && !isReplayed
        let keys = dialect.project(event).flatMap(\.keys)
        guard !keys.isEmpty else { return "filtered by the dialect, which has no name for it" }
        if entry.tooLargeFor.contains(self.dialect) { return "dropped: too large for clients of this dialect" }
        let asked = keys.compactMap { self.filters[FilterKey(dialect: self.dialect, tenant: event.tenant, key: $0)] }
        guard !asked.isEmpty else { return self.filtered(keys, of: event) }
        let allowing = asked.filter { $0.grant.allows(entry.kind, room: event.room) }
        guard let allowed = allowing.first else {
            return "not entitled: \(asked[0].grant.missing(for: entry.kind, room: event.room))"
        }
        if isBefore { return "not connected yet" }
        if entry.number <= allowed.since, !isReplayed { return "filtered by nothing now, but not asked for yet then" }
        if let moment = entry.moment, !isReplayed, !allowing.contains(where: { $0.wasThere(at: moment) }) {
            return "filtered: it came late, and had not been asked for when it happened"
        }
        if let loss = self.losses.recent.first(where: { $0.number == entry.number }) { return loss.outcome.rawValue }
        if self.catchUp?.isWaiting(event) == true { return "waiting: what happened before it comes first" }
        guard self.unsent.contains(entry.number) else { return isReplayed ? "delivered from the log" : "delivered" }
        guard let end = self.end else { return "waiting: the client has not read what is before it" }
        return "closed: \(end.closed.code) \(end.closed.reason), before it was sent"
    }

    private func filtered(_ keys: [String], of event: Event) -> String {
        if self.filters.keys.contains(where: { keys.contains($0.key) && $0.tenant != event.tenant }) {
            return "not entitled: it is another tenant's"
        }
        let shown = self.filters.keys.map(\.shown).sorted().prefix(20).joined(separator: ", ")
        return "filtered by \(shown.isEmpty ? "having subscribed to nothing" : shown)"
    }
}

extension Grant {
    /// What the principal lacks for it.
    func missing(for entry: CatalogueEntry, room: String) -> String {
        guard let scope = entry.scope else { return "a credential" }
        guard self.principal.scopes.contains(scope) else { return "scope \(scope)" }
        return "\(entry.room == .station ? "station" : "room") \(room)"
    }
}
