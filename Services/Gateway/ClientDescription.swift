import Dialects
import Events
import WebSockets

/// A page of the connections of all loops, as operators see them.
struct EdgeDescription: Sendable {
    /// The oldest first.
    var connections: [ClientDescription] = []
    /// Those that have ended lately, the newest of each loop last; on the first page only.
    var closed: [ClientDescription] = []
    /// Where the next page begins; `nil`: there is none.
    var next: ConnectionID?
}

/// Which connections an operator wants to see.
struct ConnectionsQuestion: Sendable {
    /// Only connections on which all credentials are this tenant's; `nil`: all.
    var tenant: String?
    /// Only younger ones than this.
    var after: ConnectionID?
    /// How many at most.
    var limit: Int

    static let limitUsual = 1000
    static let limitMax = 5000
}

/// One connection as operators see it.
struct ClientDescription: Sendable, Encodable {
    let id: String
    let dialect: String
    /// These two are left out for whoever may not read the audit log.
    private(set) var address: String?
    private(set) var principal: String?
    let tenant: String?
    let filters: [String]
    /// Filters that can match nothing, and why.
    let futile: [String: FutileReason]
    let connectedAt: String
    let delivered: Int
    let lastEvent: Last?
    let queue: Queue
    let limits: Limits
    let dropped: Dropped
    /// It comes from another gateway, and what happened meanwhile is on its way.
    let isCatchingUp: Bool
    /// How it ended, for one that has.
    let closed: Closed?
    /// Of everybody who has shown a credential on it: it is shown to those only who may see all of them.
    let tenants: Set<String>

    private enum CodingKeys: String, CodingKey {
        case id, dialect, address, principal, tenant, filters, futile, connectedAt, delivered, lastEvent, queue, limits
        case dropped, isCatchingUp, closed
    }

    struct Last: Sendable, Encodable {
        let id: String
        let type: String
        let at: String
    }

    struct Queue: Sendable, Encodable {
        let frames: Int
        let bytes: Int
    }

    struct Limits: Sendable, Encodable {
        let messageBytes: Int
        /// At once, and each second; `nil`: its plan's, or none.
        let messages: Double?
        let messagesPerSecond: Double?
        let queueFrames: Int
        let queueBytes: Int
    }

    /// Events that it was too slow for: a newer one took their place, or it can do without them.
    struct Dropped: Sendable, Encodable {
        let conflated: Int
        let dropped: Int
    }

    struct Closed: Sendable, Encodable {
        let code: UInt16
        let reason: String
        let at: String
    }
}

extension ClientDescription {
    /// The same without saying who it is and from where.
    var withoutPerson: Self {
        var description = self
        (description.address, description.principal) = (nil, nil)
        return description
    }

    init(_ client: Client, closed: Closed? = nil) {
        self.id = client.id.description
        self.dialect = client.profile.name.rawValue
        self.address = client.address
        self.principal = client.principal?.subject
        self.tenant = client.principal?.tenant
        self.filters = client.filters.keys.map(\.shown).sorted()
        self.futile = client.futile
        self.connectedAt = client.connectedAt.iso8601
        self.delivered = client.delivered
        self.lastEvent = client.lastDelivery.map { last in
            Last(id: last.id.text, type: Catalogue.entries[last.kind].type.name, at: last.at.iso8601)
        }
        let isOpen = closed == nil
        self.queue = Queue(
            frames: isOpen ? client.connection.queuedFrames : 0, bytes: isOpen ? client.connection.queuedBytes : 0)
        self.limits = Limits(
            messageBytes: client.messageBytesMax, messages: client.profile.messageRate?.burst,
            messagesPerSecond: client.profile.messageRate?.perSecond, queueFrames: SlowClients.framesMax,
            queueBytes: SlowClients.bytesMax)
        self.dropped = Dropped(conflated: client.losses.conflated, dropped: client.losses.dropped)
        self.isCatchingUp = client.catchUp.map { !$0.isComplete } ?? false
        self.closed = closed
        self.tenants = client.verified.tenants
    }
}

extension FilterKey {
    /// As operators read it.
    var shown: String { self.key.replacing("\u{1F}", with: " ") }
}
