public import Events

/// One way of speaking to clients: a stateless value, bytes in and bytes out, as its contract sets it.
public protocol Dialect: Sendable {
    var profile: DialectProfile { get }

    /// Decides an upgrade request for one of the profile's paths, before the WebSocket opens.
    func admit(_ request: UpgradeRequest) -> Admission

    /// The rules of one connection. `principal` is known if `admit` gave or verified one.
    func makeSession(_ request: UpgradeRequest, principal: Principal?) -> any DialectSession

    /// Says an event in this dialect: usually one frame, none where it has no words for it, more where the contract asks.
    func project(_ event: Event) -> [Projection]

    /// The kinds of event that can answer to a filter key of this dialect.
    func entries(answeringTo key: String) -> [CatalogueEntry]
}

/// An event as one dialect says it.
public struct Projection: Sendable {
    /// The filter keys it answers to; who holds any of them, in the event's tenant, gets the frame once.
    public var keys: [String]
    /// Whether a client that is too slow can do without it (docs/dialects/README.md §3): from 1 on, the lowest goes first; 0: it cannot.
    public var dropRank: UInt8
    /// The text frame. Rendered once per event, and only when somebody listens.
    public var render: @Sendable () -> [UInt8]

    public init(keys: [String], dropRank: UInt8 = 0, render: @escaping @Sendable () -> [UInt8]) {
        self.keys = keys
        self.dropRank = dropRank
        self.render = render
    }
}

public enum DialectName: String, Sendable, Hashable, CaseIterable {
    case sourceSaver = "source-saver"
    case astro, wave, grimnir, airys
}

/// What the gateway enforces for a dialect, the same way for all of them.
public struct DialectProfile: Sendable {
    public var name: DialectName
    /// Exact paths that mean this dialect on every listener (docs/dialects/README.md §2).
    public var paths: [String]
    /// Its own listener's place after the edge's first port; that listener's `/` is this dialect's.
    public var listener: Int
    /// Bytes in one message of a client that has logged in; a larger one closes with 1009.
    public var messageBytesMax: Int
    /// Bytes in one frame with an event: clients would end the connection over a larger one, so it is not sent. `nil`: no limit.
    public var eventBytesMax: Int?
    /// A token bucket over client messages; `nil`: the session judges for itself.
    public var messageRate: RateLimit?
    /// A PING frame goes out this often.
    public var pingInterval: Duration
    /// Nothing received for this long (a PONG counts): the connection is closed.
    public var silenceMax: Duration
    /// What the silence is closed with; `nil`: the TCP connection is dropped.
    public var silenceClose: Closing?
    /// How often the session's `beat` is called; `nil`: never.
    public var beatInterval: Duration?
    /// Open connections on one gateway; `nil`: no limit of the dialect's own.
    public var connectionsMax: Int?
    /// The answer to one connection more.
    public var connectionsRefusal: HTTPRefusal
    /// Connection attempts per peer address; `nil`: no limit.
    public var attemptRate: RateLimit?
    public var attemptRefusal: HTTPRefusal
    /// The answer to an upgrade while the gateway drains.
    public var drainRefusal: HTTPRefusal
    /// The answer to an upgrade whose credential nobody can verify now.
    public var unverifiedRefusal: HTTPRefusal
    /// What a connection is closed with when its credential is revoked.
    public var revokedClose: Closing

    public init(
        name: DialectName, paths: [String], listener: Int, messageBytesMax: Int, eventBytesMax: Int? = nil,
        messageRate: RateLimit?,
        pingInterval: Duration, silenceMax: Duration, silenceClose: Closing?, beatInterval: Duration? = nil,
        connectionsMax: Int? = nil, connectionsRefusal: HTTPRefusal = .unavailable, attemptRate: RateLimit? = nil,
        attemptRefusal: HTTPRefusal = .tooManyAttempts, drainRefusal: HTTPRefusal = .unavailable,
        unverifiedRefusal: HTTPRefusal = .unavailable, revokedClose: Closing = .tokenRevoked
    ) {
        self.name = name
        self.paths = paths
        self.listener = listener
        self.messageBytesMax = messageBytesMax
        self.eventBytesMax = eventBytesMax
        self.messageRate = messageRate
        self.pingInterval = pingInterval
        self.silenceMax = silenceMax
        self.silenceClose = silenceClose
        self.beatInterval = beatInterval
        self.connectionsMax = connectionsMax
        self.connectionsRefusal = connectionsRefusal
        self.attemptRate = attemptRate
        self.attemptRefusal = attemptRefusal
        self.drainRefusal = drainRefusal
        self.unverifiedRefusal = unverifiedRefusal
        self.revokedClose = revokedClose
    }

    /// Bytes in one message of a client that has not logged in, in every dialect: as much as the longest credential needs.
    public static let loginBytesMax = 8 * 1024

    /// Returns how many bytes one message may have; a larger one closes with 1009.
    public func messageBytesMax(isLoggedIn: Bool) -> Int {
        isLoggedIn ? self.messageBytesMax : min(self.messageBytesMax, Self.loginBytesMax)
    }
}

/// A close code and reason (RFC 6455 §7.4).
public struct Closing: Sendable, Hashable {
    public var code: UInt16
    public var reason: String

    public init(_ code: UInt16, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    public static let goingAway = Closing(1001, "going away")
    public static let unsupportedData = Closing(1003, "text frames only")
    public static let tokenExpired = Closing(1008, "token expired")
    public static let tokenRevoked = Closing(1008, "token revoked")
    public static let tooSlow = Closing(1008, "too slow")
    public static let tooBig = Closing(1009, "message too big")
    public static let internalError = Closing(1011, "internal error")
}

/// A complete HTTP answer instead of the upgrade.
public struct HTTPRefusal: Sendable, Hashable {
    public var status: Int
    public var headers: [String: String]
    public var body: String

    public init(_ status: Int, headers: [String: String] = [:], body: String) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A refusal with a JSON body.
    static func json(_ status: Int, _ body: JSON, headers: [String: String] = [:]) -> HTTPRefusal {
        let text = String(decoding: body.bytes, as: UTF8.self)
        return HTTPRefusal(
            status, headers: headers.merging(["Content-Type": "application/json"]) { own, _ in own }, body: text)
    }

    public static let unavailable = HTTPRefusal.json(503, ["error": "unavailable"], headers: ["Retry-After": "5"])
    public static let tooManyAttempts = HTTPRefusal.json(429, ["error": "rate_limited"], headers: ["Retry-After": "2"])
}

/// What a client's upgrade request says.
public struct UpgradeRequest: Sendable, Hashable {
    public var path: String
    /// Percent-decoded, in order.
    public var query: [(name: String, value: String)] {
        get { self.pairs.map { ($0.name, $0.value) } }
        set { self.pairs = newValue.map { Pair(name: $0.name, value: $0.value) } }
    }
    /// Names in lower case.
    public var headers: [String: String]
    /// The peer's address, or what a trusted proxy says it is.
    public var remoteAddress: String
    /// Whether the client is on this machine by all evidence, and such clients are let in without a credential.
    public var isLocal: Bool

    private struct Pair: Hashable {
        var name: String
        var value: String
    }
    private var pairs: [Pair]

    public init(
        path: String, query: [(name: String, value: String)] = [], headers: [String: String] = [:],
        remoteAddress: String = "127.0.0.1", isLocal: Bool = true
    ) {
        self.path = path
        self.headers = headers
        self.remoteAddress = remoteAddress
        self.isLocal = isLocal
        self.pairs = query.map { Pair(name: $0.name, value: $0.value) }
    }

    /// The first query value of that name.
    public func query(_ name: String) -> String? { self.pairs.first { $0.name == name }?.value }

    /// The token of `Authorization: Bearer …`.
    public var bearer: String? {
        guard let header = self.headers["authorization"] else { return nil }
        let words = header.split(separator: " ", maxSplits: 1)
        guard let scheme = words.first, scheme.utf8.count == 6, scheme.lowercased() == "bearer" else { return nil }
        return words.count == 2 ? String(words[1]).trimmed : ""
    }
}

extension String {
    /// Without spaces at both ends.
    var trimmed: String {
        var view = Substring(self)
        while view.first == " " { view.removeFirst() }
        while view.last == " " { view.removeLast() }
        return String(view)
    }
}

/// What to do with an upgrade request.
public enum Admission: Sendable, Hashable {
    /// Open it; the principal is known, or (`nil`) the session will find out.
    case open(Principal?)
    /// Verify first; open it with the principal, or refuse.
    case verify(Credential, refusal: HTTPRefusal)
    /// Open it whoever it is: the session will ask about this credential when it has opened, and is to have the answer at once.
    case introduce(Credential)
    case refuse(HTTPRefusal)
}

/// What a client shows to prove who it is.
public struct Credential: Sendable, Hashable {
    public var token: String
    /// The kind that the client says it is; `nil`: any kind will do.
    public var kind: CredentialKind?

    public init(_ token: String, kind: CredentialKind? = nil) {
        self.token = token
        self.kind = kind
    }
}
