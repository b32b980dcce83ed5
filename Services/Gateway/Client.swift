import Dialects
import Events
import WebSockets

/// One connected client on its loop: the rules of its dialect, and what the gateway keeps for it.
final class Client: Identifiable {
    /// Something that the client sent while the answer to an earlier message was awaited.
    enum Held {
        case text([UInt8])
        case binary([UInt8])

        var bytes: Int {
            switch self {
            case .text(let bytes), .binary(let bytes): bytes.count
            }
        }
    }

    /// What it listens to.
    struct Filter {
        let grant: Grant
        /// The last event that was given out before it was there.
        let since: UInt64
        /// When it was made, perhaps on another gateway.
        let made: Timestamp

        /// How much later than an event it may have been made, for the clocks' sake.
        private static let tolerance = Duration.seconds(5)

        /// Returns whether it was there when something happened, or may have been.
        func wasThere(at moment: Timestamp) -> Bool { self.made <= moment + Self.tolerance }
    }

    let id: ConnectionID
    let dialect: Int
    /// The peer's, or what a trusted proxy says it is.
    let address: String
    let connectedAt = Timestamp.now
    /// It refers to the client in turn, until it has closed.
    let connection: Connection
    var session: any DialectSession
    /// Who it is, as far as a subscription has told.
    private(set) var principal: Principal?
    private let rules: DialectRules
    private var grant: Grant?
    /// Everybody whose credential was verified on this connection: one revoked ends it.
    private(set) var verified = VerifiedPrincipals()
    var limiter: RateLimiter?
    var filters: [FilterKey: Filter] = [:]
    var futile: [String: FutileReason] = [:]
    var seats: [Seat] = []
    /// A `verify`, `call`, `claim` or `resume` is under way.
    var isWaiting = false
    /// What the session wants when it has its seat.
    var whenSeated: [SessionAction] = []
    /// While they are too many nothing is read from it.
    var held = WaitingQueue<Held>(countMax: heldMax, bytesMax: heldBytesMax)
    /// Frames that go out later, in order of time; while they are too many nothing is read from it.
    var later = WaitingQueue<(at: Timestamp, frame: [UInt8])>(countMax: laterMax, bytesMax: heldBytesMax)
    /// What it had taken when nothing was read from it any more, since too many replies waited.
    var progressAtPause: UInt64?
    var lastHeard = ContinuousClock.now
    /// The last bundle that was given to it, so that it gets one only once.
    var lastBundle: UInt64 = 0
    private(set) var delivered = 0
    private(set) var lastDelivery: Delivery?
    /// What it was too slow for.
    var losses = ClientLosses()
    var backlog = SlowClients.Backlog()
    /// It comes from another gateway, and is told first what happened meanwhile.
    var catchUp: CatchUp?
    /// Since when it is connected, here or at the gateways that it comes from.
    var since: Timestamp
    /// Its session is being restored: its subscriptions are as old as it is.
    var isResuming = false
    /// Events may come that its catching up has told it already.
    var comparesPositions = false
    /// The last event that was given out before it came.
    let opened: UInt64
    /// How the gateway has ended it, or is about to.
    private(set) var closing: Closing?
    /// The last event before that, if another was for it.
    var closedAt: UInt64?

    /// What was found out while it was let in.
    private var introduction: Introduction?

    /// Messages that wait while an answer is awaited, and their bytes, beyond which nothing is read; the last one may be beyond.
    private static let heldMax = 256
    private static let heldBytesMax = 64 * 1024
    private static let laterMax = 1024

    /// The last event that was given to it.
    struct Delivery {
        let id: ULID
        /// Its place in the catalogue.
        let kind: Int
        let at: Timestamp
    }

    init(_ connection: Connection, arrival: Arrival, dialect: any Dialect, rules: DialectRules, after number: UInt64) {
        self.opened = number
        self.since = self.connectedAt
        self.id = connection.id
        self.connection = connection
        self.dialect = arrival.dialect
        self.address = arrival.request.remoteAddress
        self.principal = arrival.principal
        self.session = dialect.makeSession(arrival.request, principal: arrival.principal)
        self.rules = rules
        self.introduction = arrival.introduction
        self.limiter = rules.profile.messageRate.map { RateLimiter($0, at: .now) }
    }

    /// Bytes in one message of its now.
    var messageBytesMax: Int { self.profile.messageBytesMax(isLoggedIn: self.session.isLoggedIn) }

    /// Reads on, or not, as what waits here allows.
    func adjustReading() {
        if self.held.mustStop || self.later.mustStop {
            self.connection.pauseReading()
        } else {
            self.connection.resumeReading()
        }
    }

    /// The rules of its dialect.
    var profile: DialectProfile { self.rules.profile }

    /// What it may see by a principal's credential; from now on it is that principal.
    func grant(for principal: Principal) -> Grant {
        self.principal = principal
        if let grant = self.grant, grant.principal == principal { return grant }
        let grant = Grant(principal)
        self.grant = grant
        return grant
    }

    /// What is known of a credential since the client was let in; only once.
    func takeIntroduction(_ credential: Credential) -> Result<Principal, VerificationFailure>? {
        defer { self.introduction = nil }
        return self.introduction?.credential == credential ? self.introduction?.result : nil
    }

    /// `false`: it has shown too many credentials.
    func note(_ principal: Principal) -> Bool { self.verified.note(principal, at: .now) }

    func noteDelivery(of count: Int, _ newest: Event, _ kind: CatalogueEntry) {
        self.delivered += count
        self.lastDelivery = Delivery(id: newest.id, kind: kind.index, at: newest.time)
    }

    func close(_ closing: Closing, discardingQueue: Bool = false) {
        guard !self.connection.isClosing else { return }
        self.closing = closing
        self.connection.close(code: closing.code, reason: closing.reason, discardingQueue: discardingQueue)
    }

    /// Ends it without a CLOSE frame when it has what waits for it; it sees 1006.
    func drop(_ reason: String) {
        self.closing = self.closing ?? Closing(1006, reason)
        self.connection.finish()
    }
}

/// A dialect's profile, once for all of its clients.
final class DialectRules {
    let profile: DialectProfile

    init(_ profile: DialectProfile) { self.profile = profile }
}

/// What a client was not given because it was too slow.
struct ClientLosses {
    /// A newer one took its place.
    private(set) var conflated = 0
    /// It can do without.
    private(set) var dropped = 0
    private(set) var recent: [(number: UInt64, outcome: Outcome)] = []

    enum Outcome: String {
        case conflated
        case dropped
    }

    private static let recentMax = 256

    mutating func note(_ shedding: Shedding) {
        self.conflated += shedding.conflated.count
        self.dropped += shedding.dropped.count
        self.recent += shedding.conflated.map { ($0, .conflated) } + shedding.dropped.map { ($0, .dropped) }
        if self.recent.count > Self.recentMax { self.recent.removeFirst(self.recent.count - Self.recentMax) }
    }
}
