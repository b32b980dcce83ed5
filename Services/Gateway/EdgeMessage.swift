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
    /// Of each revocation once, when the verifier refuses what it names already.
    case revoked([CredentialRevoked])
    case drain
    /// Asks who is connected, for operators.
    case describe(@Sendable ([ClientDescription]) -> Void)
}

/// A connection whose upgrade was accepted, on its way to a loop.
struct Arrival: Sendable {
    let upgrade: Upgrade
    /// Its dialect's place in the registry.
    let dialect: Int
    let request: UpgradeRequest
    let principal: Principal?
}

/// One connection as operators see it.
struct ClientDescription: Sendable, Encodable {
    let id: String
    let dialect: String
    let address: String
    let principal: String?
    let tenant: String?
    let filters: [String]
    let connectedAt: String
    let delivered: Int
    let queuedFrames: Int
    let queuedBytes: Int
}
