public import Events

/// What a process needs on a bus with keys: its own pair, and the public halves of all roles.
public struct BusKeys: Sendable, Hashable {
    let own: BusKey
    let peers: BusPeers
    /// The role whose pair it is.
    public let role: BusRole

    /// Returns `nil` if the key is none of the suite's.
    public init?(_ own: BusKey, peers: BusPeers) {
        guard let role = peers.role(of: own.publicKey) else { return nil }
        self.own = own
        self.peers = peers
        self.role = role
    }
}
