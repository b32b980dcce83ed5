/// A page of a publisher's log, the answer to `ReplayRequest`, in bus frames.
///
/// ```
/// epoch u64 · term u64 · head u64 · after u64 · isContinuation u64 (0, 1), then for each frame of each event: length u64 · bytes
/// ```
public struct ReplayPage: Sendable, Hashable {
    /// The end of the log when the page was read. A page may reach beyond it.
    public var head: Position
    /// The `seq` that the page begins behind: of what follows it nothing is missing but what retention dropped. It is lower than what
    /// was asked for if the asker stood on numbers that the log lost.
    public var after: UInt64
    /// Whether the page continues from the asker's position; else it begins at the moment that the request named.
    public var isContinuation: Bool
    /// In order of `seq`, all of the head's term: a reader who has them stands on that term's log.
    public var events: [Event]

    public init(head: Position, after: UInt64, isContinuation: Bool, events: [Event]) {
        self.head = head
        self.after = after
        self.isContinuation = isContinuation
        self.events = events
    }

    private static let headerBytes = 40

    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for integer in [self.head.epoch, self.head.term, self.head.seq, self.after, self.isContinuation ? 1 : 0] {
            bytes.appendInteger(integer)
        }
        for frame in self.events.flatMap(EventCodec.frames(of:)) {
            bytes.appendInteger(UInt64(frame.count))
            bytes.append(contentsOf: frame)
        }
        return bytes
    }

    /// `nil` for bytes that are not a page.
    public init?(bytes: [UInt8]) {
        guard bytes.count >= Self.headerBytes, bytes.integer(at: 32) <= 1 else { return nil }
        let head = Position(epoch: bytes.integer(at: 0), term: bytes.integer(at: 8), seq: bytes.integer(at: 16))
        self.init(
            head: head, after: bytes.integer(at: 24), isContinuation: bytes.integer(at: 32) == 1, events: [])
        var frames: [[UInt8]] = []
        var offset = Self.headerBytes
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
