/// What the chunks of a loop's logs take, and when to look for those that are kept for little.
final class FrameMemory {
    /// Of all chunks that are alive.
    private(set) var bytes = 0
    /// The number of the sweep that is under way, or of the last one.
    private(set) var sweep: UInt64 = 0
    private var limit = limitMin
    /// Of chunks that were freed, for the next ones: a new one's pages come from the system one by one.
    private var spare: [UnsafeMutableRawBufferPointer] = []

    /// Below it nobody looks.
    static let limitMin = 8 << 20
    private static let spareMax = 4

    /// More is kept than a sweep should leave alone: twice what the last one left.
    var isSweepDue: Bool { self.bytes > self.limit }

    deinit { self.spare.forEach { $0.deallocate() } }

    func allocate(_ count: Int) -> UnsafeMutableRawBufferPointer {
        self.bytes += count
        if count == self.spare.last?.count, let spare = self.spare.popLast() { return spare }
        return .allocate(byteCount: count, alignment: 16)
    }

    func free(_ space: UnsafeMutableRawBufferPointer, isReusable: Bool) {
        self.bytes -= space.count
        if isReusable, self.spare.count < Self.spareMax { self.spare.append(space) } else { space.deallocate() }
        if self.bytes < self.limit / 4 { self.limit = max(Self.limitMin, self.limit / 2) }
    }

    func beginSweep() { self.sweep += 1 }

    func endSweep() { self.limit = max(Self.limitMin, self.bytes * 2) }
}
