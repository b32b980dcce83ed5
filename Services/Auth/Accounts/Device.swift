/// Where a refresh comes from: a retry gets the same answer only there.
struct Device: Sendable {
    let address: String
    /// A hash of the client's address (of version 6, its network of 64 bits) and its `User-Agent`.
    let hash: String

    init(address: String, userAgent: String?) {
        self.address = address
        self.hash = Secret.hash("\(AttemptLimits.network(of: address)) \(userAgent ?? "")")
    }
}
