public import Events

/// The rules of one connection as a state machine: inputs in, actions out, no socket and no clock of its own.
///
/// The gateway carries the actions out in order. After `verify` or `call` it holds further client messages back until the
/// answer was given to the session, so that replies keep the order of the messages. After `close` or `drop` nothing more comes.
public protocol DialectSession {
    /// The client has shown a credential that was good, or is let in without one. Until then its messages are short.
    var isLoggedIn: Bool { get }

    /// The WebSocket is open.
    mutating func opened(at now: Timestamp) -> [SessionAction]

    /// A whole text message, within the size limit and the message rate. It is UTF-8.
    mutating func received(_ text: [UInt8], at now: Timestamp) -> [SessionAction]

    /// A whole binary message.
    mutating func receivedBinary(_ bytes: [UInt8], at now: Timestamp) -> [SessionAction]

    /// A message beyond the profile's message rate; it is not given to `received`.
    mutating func exceededRate(at now: Timestamp) -> [SessionAction]

    /// The answer to `verify`.
    mutating func verified(_ result: Result<Principal, VerificationFailure>, at now: Timestamp) -> [SessionAction]

    /// The answer to `call`: the command's answer as JSON, or why not.
    mutating func called(_ result: Result<[UInt8], CommandFailure>, at now: Timestamp) -> [SessionAction]

    /// The moment of the last `wake` has come.
    mutating func woke(at now: Timestamp) -> [SessionAction]

    /// Every `beatInterval` of the profile.
    mutating func beat(at now: Timestamp) -> [SessionAction]

    /// The answer to `handOver`: a token that another gateway goes on with, or `nil` if there is none to be had.
    mutating func handedOver(_ token: String?, at now: Timestamp) -> [SessionAction]

    /// The answer to `resume`: what the other gateway handed over, or `nil` if the token is good for nothing.
    mutating func resumed(_ handOver: HandOver?, at now: Timestamp) -> [SessionAction]

    /// The gateway shuts down: say goodbye as the contract asks.
    mutating func drain(at now: Timestamp) -> [SessionAction]

    /// The time is over that a draining gateway leaves to those who have not gone yet.
    mutating func drainEnded(at now: Timestamp) -> [SessionAction]
}

extension DialectSession {
    public mutating func exceededRate(at now: Timestamp) -> [SessionAction] { [] }
    public mutating func verified(_ result: Result<Principal, VerificationFailure>, at now: Timestamp)
        -> [SessionAction]
    { [] }
    public mutating func called(_ result: Result<[UInt8], CommandFailure>, at now: Timestamp) -> [SessionAction] { [] }
    public mutating func woke(at now: Timestamp) -> [SessionAction] { [] }
    public mutating func beat(at now: Timestamp) -> [SessionAction] { [] }
    public mutating func handedOver(_ token: String?, at now: Timestamp) -> [SessionAction] { [] }
    public mutating func resumed(_ handOver: HandOver?, at now: Timestamp) -> [SessionAction] { [] }
    public mutating func drain(at now: Timestamp) -> [SessionAction] { [.close(.goingAway)] }
    public mutating func drainEnded(at now: Timestamp) -> [SessionAction] { [.close(.goingAway)] }
}

/// Why a credential was not accepted.
public enum VerificationFailure: Error, Sendable, Hashable {
    /// Unknown, malformed, expired, revoked, or of another kind than it was said to be.
    case invalid(reason: String)
    /// Nobody could tell now; the client may try again.
    case unavailable
    /// Too many bad credentials came from that address; the client may try again after so many seconds.
    case limited(retryAfter: Int)
}

public enum SessionAction: Sendable, Hashable {
    /// Sends a text frame.
    case send([UInt8])
    /// Sends a text frame a little later.
    case sendLater([UInt8], after: Duration)
    /// Adds filter keys: from now on events of the principal's tenant that answer to them are delivered. A key that is held
    /// already takes the new principal.
    case subscribe([String], as: Principal)
    /// Removes filter keys of that tenant.
    case unsubscribe([String], tenant: String)
    /// Takes one of the seats that a key or an account has; it is given back when the connection ends. If none is free, the
    /// gateway sends the seat's farewell, closes, and drops the actions that follow.
    case claim(Seat)
    /// Asks who a credential belongs to; answered with `verified`.
    case verify(Credential)
    /// Sends a command to a service; answered with `called`.
    case call(CommandCall)
    /// Has a token made with which another gateway goes on where this one is now; answered with `handedOver`.
    case handOver(HandOver)
    /// Goes on where another gateway was when it made that token; answered with `resumed`. The durable events since then, as far as
    /// they answer to what the session subscribes to in its answer, follow that answer, and what happens now follows them.
    case resume(String)
    /// Tells operators that the client asked for something that will never come.
    case futile(filter: String, reason: FutileReason)
    /// Calls `woke` at that moment instead of any earlier request.
    case wake(at: Timestamp)
    case close(Closing)
    /// Ends the TCP connection without a CLOSE frame: the client sees 1006.
    case drop
}

/// Why a filter can match nothing.
public enum FutileReason: String, Sendable, Hashable, Encodable, CaseIterable {
    /// The dialect has no event of that name.
    case unknownName = "unknown name"
    /// The credential lacks the scope, or the room.
    case notEntitled = "not entitled"
}

/// What another gateway needs to know of a connection to go on with it.
public struct HandOver: Codable, Sendable, Hashable {
    /// Everybody for whom it has subscriptions.
    public var principals: [Principal]
    /// The session's own, one JSON object.
    public var session: JSON

    public init(principals: [Principal], session: JSON) {
        self.principals = principals
        self.session = session
    }
}

/// A place among the open connections of one key or account.
public struct Seat: Sendable, Hashable {
    /// Whose seats they are, unique among dialects: `wave/` and the key's id.
    public var owner: String
    /// How many there are.
    public var max: Int
    /// The text frame for one connection more.
    public var farewell: [UInt8]
    public var closing: Closing

    public init(owner: String, max: Int, farewell: [UInt8], closing: Closing) {
        self.owner = owner
        self.max = max
        self.farewell = farewell
        self.closing = closing
    }
}

/// A command as a session sends it.
public struct CommandCall: Sendable, Hashable {
    public var service: ServiceName
    public var name: String
    public var body: [UInt8]

    public init<C: Command>(_ command: C) {
        self.service = C.service
        self.name = C.name
        self.body = JSON.encode(command)
    }
}

extension SessionAction {
    /// A text frame with this JSON value.
    static func send(json value: JSON) -> SessionAction { .send(value.bytes) }
}
