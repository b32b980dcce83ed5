/// A page of a publisher's log, the answer to `ReplayRequest`, in bus frames.
public struct ReplayPage: Sendable, Hashable {
    public var epoch: UInt64
    /// The lowest `seq` that retention has left; 1 if nothing was dropped.
    public var oldest: UInt64
    /// The last `seq` when the page was read.
    public var head: UInt64
    /// In order of `seq`.
    public var events: [Event]

    public init(epoch: UInt64, oldest: UInt64, head: UInt64, events: [Event]) {
        self.epoch = epoch
        self.oldest = oldest
        self.head = head
        self.events = events
    }

    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for integer in [self.epoch, self.oldest, self.head] { bytes.appendInteger(integer) }
        for frame in self.events.flatMap(EventCodec.frames(of:)) {
            bytes.appendInteger(UInt64(frame.count))
            bytes.append(contentsOf: frame)
        }
        return bytes
    }

    /// `nil` for bytes that are not a page.
    public init?(bytes: [UInt8]) {
        guard bytes.count >= 24 else { return nil }
        self.init(epoch: bytes.integer(at: 0), oldest: bytes.integer(at: 8), head: bytes.integer(at: 16), events: [])
        var frames: [[UInt8]] = []
        var offset = 24
        while offset < bytes.count {
            guard offset + 8 <= bytes.count else { return nil }
            let (start, length) = (offset + 8, bytes.integer(at: offset))
            guard length <= UInt64(bytes.count - start) else { return nil }
            offset = start + Int(length)
            frames.append(Array(bytes[start..<offset]))
            guard frames.count == 3 else { continue }
            guard let event = EventCodec.event(from: frames) else { return nil }
            self.events.append(event)
            frames.removeAll(keepingCapacity: true)
        }
        guard frames.isEmpty else { return nil }
    }
}
