import Bus
import Dialects
import Events
import WebSockets

/// What reaches a loop from other threads.
enum EdgeMessage: Sendable {
    case adopt(Arrival)
    /// In order.
    case events([Event])
    case verified(ConnectionID, Result<Principal, VerificationFailure>)
    case called(ConnectionID, Result<[UInt8], CommandFailure>)
    /// Whether the seat that the connection asked for is its.
    case seated(ConnectionID, Seat, Bool)
    case handedOver(ConnectionID, String?)
    /// What the token that the connection came with is worth.
    case resumed(ConnectionID, ReconnectTokens.Redeemed?)
    /// A page of a publisher's log for a connection that catches up; `nil`: the publisher does not answer.
    case replayed(ConnectionID, ServiceName, ReplayPage?)
    /// Of each revocation once, when the verifier refuses what it names already.
    case revoked([CredentialRevoked])
    /// Says goodbye to everybody as their contracts ask. Of the publishers' events, those up to there were posted before.
    case drain(heard: [ServiceName: Position])
    /// The time is over for those who have not gone yet.
    case endDrain
    /// Asks who is connected, for operators.
    case describe(@Sendable (EdgeDescription) -> Void)
    /// Asks what became of an event on a connection; `nil`: the connection is not on this loop.
    case explain(connection: String, event: ULID, @Sendable (Explanation?) -> Void)

    /// How much work it is for a loop: events are given out one by one.
    var weight: Int { if case .events(let events) = self { events.count } else { 1 } }
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
