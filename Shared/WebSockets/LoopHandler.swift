/// What happens on a loop, told on the loop's thread. A handler is made there and never leaves it.
public protocol LoopHandler: AnyObject, SendableMetatype {
    associatedtype Message: Sendable

    /// How much work a message is, in events to give out or the like.
    static func weight(of message: Message) -> Int
    /// How many bytes a message holds, as far as they count against the mailbox's bound.
    static func bytes(of message: Message) -> Int

    /// Comes first, once. The loop outlives its handler's last callback and holds the handler, so hold it `unowned`.
    func attached(to loop: LoopContext)
    /// What was posted, in order; of much of it only a part each turn.
    func received(_ messages: [Message])
    /// A connection that was adopted has its 101; comes before `adopt` returns.
    func opened(_ connection: Connection)
    /// A whole text message, valid UTF-8.
    func text(_ bytes: [UInt8], from connection: Connection)
    /// A whole binary message.
    func binary(_ bytes: [UInt8], from connection: Connection)
    /// The client answered our ping.
    func ponged(_ connection: Connection)
    /// The connection is gone, whoever ended it. Exactly once for every `opened`.
    func closed(_ connection: Connection)
    /// A timer of `connection` is due.
    func fired(_ timer: TimerKind, for connection: Connection)
    /// Everything of this wake-up has been told; what is sent now still goes out with it.
    func turnEnded()
}

extension LoopHandler {
    public static func weight(of message: Message) -> Int { 1 }
    public static func bytes(of message: Message) -> Int { 0 }
}

/// Which timer of a connection, 0 to 14; the owner gives the numbers a meaning. 15 is the library's.
public struct TimerKind: RawRepresentable, Hashable, Sendable {
    public let rawValue: UInt8

    public init(rawValue: UInt8) {
        precondition(rawValue < 16, "there is no timer \(rawValue)")
        self.rawValue = rawValue
    }

    static let closeDeadline = TimerKind(rawValue: 15)
}

/// Some timers of a connection.
struct TimerKinds: Sequence {
    private var bits: UInt16 = 0

    mutating func insert(_ kind: TimerKind) { self.bits |= 1 << kind.rawValue }

    func makeIterator() -> some IteratorProtocol<TimerKind> {
        (0..<UInt8(16)).lazy.filter { self.bits & 1 << $0 != 0 }.map(TimerKind.init).makeIterator()
    }
}
