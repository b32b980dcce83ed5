import Bus
import Dialects
import Events
import WebSockets

/// What reaches a loop from other threads.
enum EdgeMessage: Sendable {
    case adopt(Arrival)
    /// In order.
    /// - Parameter isRepaired: they were missed when they happened, and come from their publisher's log; they may be old.
    case events([Event], isRepaired: Bool)
    case verified(ConnectionID, Result<Principal, VerificationFailure>)
    case called(ConnectionID, Result<[UInt8], CommandFailure>)
    /// Whether the seat that the connection asked for is its.
    case seated(ConnectionID, Seat, Bool)
    case handedOver(ConnectionID, String?)
    /// What the token that the connection came with is worth.
    case resumed(ConnectionID, ReconnectTokens.Redeemed?)
    /// A page of a publisher's log for connections that catch up; `nil`: the publisher does not answer.
    case replayed(ReplayPages.Question, ReplayPage?)
    /// More connections wait for such an answer than are served in one turn.
    case answersDue
    /// Of each revocation once, when the verifier refuses what it names already.
    case revoked([CredentialRevoked])
    /// Says goodbye to everybody as their contracts ask. Of the publishers' events, those up to there were posted before.
    case drain(heard: [ServiceName: Position])
    /// The time is over for those who have not gone yet.
    case endDrain
    /// Asks which connections a page of `GET /connections` may show, in order.
    case list(ConnectionsQuestion, @Sendable ([ConnectionID]) -> Void)
    /// Asks what operators are shown of these connections; of those that have ended meanwhile, or are not that tenant's alone any more,
    /// there is no answer.
    case describe([ConnectionID], tenant: String?, @Sendable ([ClientDescription]) -> Void)
    /// Asks which connections ended lately.
    case describeClosed(ConnectionsQuestion, @Sendable ([ClientDescription]) -> Void)
    /// Asks what became of an event on a connection; `nil`: the connection is not on this loop.
    case explain(connection: String, event: ULID, @Sendable (Explanation?) -> Void)

    /// How much work it is for a loop: events are given out one by one.
    var weight: Int {
        switch self {
        case .events(let events, _): events.count
        // A description costs about as much as giving out a few events.
        case .describe(let ids, _, _): ids.count * 4
        default: 1
        }
    }

    /// How many bytes it holds. Only events are many, large, and from elsewhere.
    var bytes: Int {
        guard case .events(let events, _) = self else { return 0 }
        return events.reduce(0) { $0 + $1.data.count + Self.eventOverhead }
    }

    /// What an event takes besides its data: the event itself, and its names.
    private static let eventOverhead = 256
}

/// A connection whose upgrade was accepted, on its way to a loop.
struct Arrival: Sendable {
    let upgrade: Upgrade
    /// Its dialect's place in the registry.
    let dialect: Int
    let request: UpgradeRequest
    let principal: Principal?
    let introduction: Introduction?
}

/// A credential that the session will ask about, and what is known of it.
struct Introduction: Sendable {
    let credential: Credential
    let result: Result<Principal, VerificationFailure>
}
