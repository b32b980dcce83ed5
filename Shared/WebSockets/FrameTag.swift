/// What is known of a frame that many connections send, for a connection that is too slow for it.
public struct FrameTag: Sendable, Hashable {
    /// A number of the owner's, by which it learns what became of the frame.
    public var number: UInt64
    /// A later frame with the same key makes this one superfluous; `nil`: it says something of its own.
    public var conflationKey: UInt64?
    /// From 1 on, the connection may do without it, and does without the lowest first; 0: it needs it.
    public var dropRank: UInt8

    public init(number: UInt64, conflationKey: UInt64? = nil, dropRank: UInt8 = 0) {
        self.number = number
        self.conflationKey = conflationKey
        self.dropRank = dropRank
    }
}

/// Frames that were taken out of a queue unsent, by the numbers of their tags.
public struct Shedding: Sendable, Hashable {
    /// A newer one with the same conflation key waits in their place.
    public internal(set) var conflated: [UInt64] = []
    /// Dropped for their rank.
    public internal(set) var dropped: [UInt64] = []
}
