import Dialects
import Events
import WebSockets

/// One connected client on its loop: the rules of its dialect, and what the gateway keeps for it.
final class Client: Identifiable {
    /// Something that the client sent while the answer to an earlier message was awaited.
    enum Held {
        case text([UInt8])
        case binary([UInt8])
    }

    let id: ConnectionID
    let dialect: Int
    let profile: DialectProfile
    let request: UpgradeRequest
    let connectedAt = Timestamp.now
    unowned let connection: Connection
    var session: any DialectSession
    /// Who it is, as far as a subscription has told.
    var principal: Principal?
    /// Everybody whose credential was verified on this connection: one revoked ends it.
    private(set) var verified = VerifiedPrincipals()
    var limiter: RateLimiter?
    var keys: Set<FilterKey> = []
    var seats: [Seat] = []
    /// A `verify`, `call` or `claim` is under way.
    var isWaiting = false
    /// What the session wants when it has its seat.
    var whenSeated: [SessionAction] = []
    var held: [Held] = []
    /// Frames that go out later, in order of time.
    var later: [(at: Timestamp, frame: [UInt8])] = []
    var lastHeard = ContinuousClock.now
    /// The last projection that was given to it, so that it gets one only once.
    var lastProjection: UInt64 = 0
    var delivered = 0
    /// Since when something waits to be written.
    var backlogSince: ContinuousClock.Instant?

    /// Messages that may wait while an answer is awaited.
    static let heldMax = 256

    init(_ connection: Connection, arrival: Arrival, dialect: any Dialect) {
        self.id = connection.id
        self.connection = connection
        self.dialect = arrival.dialect
        self.profile = dialect.profile
        self.request = arrival.request
        self.principal = arrival.principal
        self.session = dialect.makeSession(arrival.request, principal: arrival.principal)
        self.limiter = dialect.profile.messageRate.map { RateLimiter($0, at: .now) }
    }

    /// `false`: it has shown too many credentials.
    func note(_ principal: Principal) -> Bool { self.verified.note(principal, at: .now) }

    var description: ClientDescription {
        ClientDescription(
            id: self.id.description, dialect: self.profile.name.rawValue, address: self.request.remoteAddress,
            principal: self.principal?.subject, tenant: self.principal?.tenant,
            filters: self.keys.map { $0.key.replacing("\u{1F}", with: " ") }.sorted(),
            connectedAt: self.connectedAt.iso8601, delivered: self.delivered,
            queuedFrames: self.connection.queuedFrames,
            queuedBytes: self.connection.queuedBytes)
    }
}
