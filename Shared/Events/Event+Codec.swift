/// The bus's frames for an event: topic, header, data (docs/architecture.md). Integers are big-endian.
///
/// ```
/// topic   "d" or "t" "/" tenant "/" type "/" room
/// header  version u8 · id 16 bytes · epoch u64 · seq u64 (0: transient) · time i64 ms · publisher, the rest
/// data    one JSON object
/// ```
public enum EventCodec {
    public static let version: UInt8 = 1
    static let headerMinimum = 41

    /// A subscription to every durable event.
    public static let durableTopic: [UInt8] = Array("d/".utf8)
    /// A subscription to every transient event.
    public static let transientTopic: [UInt8] = Array("t/".utf8)

    public static func frames(of event: Event) -> [[UInt8]] {
        let kind = event.position == nil ? "t" : "d"
        let topic = "\(kind)/\(event.tenant)/\(event.type.name)/\(event.room)"
        var header: [UInt8] = []
        header.reserveCapacity(Self.headerMinimum + 20)
        header.append(Self.version)
        header.appendInteger(event.id.high)
        header.appendInteger(event.id.low)
        header.appendInteger(event.position?.epoch ?? 0)
        header.appendInteger(event.position?.seq ?? 0)
        header.appendInteger(UInt64(bitPattern: event.time.milliseconds))
        header.append(contentsOf: event.publisher.rawValue.utf8)
        return [Array(topic.utf8), header, event.data]
    }

    /// `nil` for frames that are not an event of this version.
    public static func event(from frames: [[UInt8]]) -> Event? {
        guard frames.count == 3, frames[1].count > Self.headerMinimum, frames[1][0] == Self.version else { return nil }
        let topic = frames[0].split(separator: UInt8(ascii: "/"), maxSplits: 3, omittingEmptySubsequences: false)
        let header = frames[1]
        guard topic.count == 4,
            let publisher = ServiceName(rawValue: String(decoding: header[Self.headerMinimum...], as: UTF8.self))
        else { return nil }
        let seq = header.integer(at: 25)
        return Event(
            id: ULID(high: header.integer(at: 1), low: header.integer(at: 9)),
            type: EventType(String(decoding: topic[2], as: UTF8.self)),
            tenant: String(decoding: topic[1], as: UTF8.self),
            room: String(decoding: topic[3], as: UTF8.self),
            position: seq == 0 ? nil : Position(epoch: header.integer(at: 17), seq: seq),
            publisher: publisher,
            time: Timestamp(milliseconds: Int64(bitPattern: header.integer(at: 33))),
            data: frames[2])
    }
}

/// What a publisher says every second: its log's epoch and end, so that a lost tail is noticed.
public struct Announcement: Sendable, Hashable {
    public var publisher: ServiceName
    public var position: Position

    public static let topic: [UInt8] = Array("a/".utf8)

    public init(publisher: ServiceName, position: Position) {
        self.publisher = publisher
        self.position = position
    }

    public var frames: [[UInt8]] {
        var header: [UInt8] = [EventCodec.version]
        header.appendInteger(self.position.epoch)
        header.appendInteger(self.position.seq)
        return [Self.topic + Array(self.publisher.rawValue.utf8), header]
    }

    /// `nil` for frames that are not an announcement of this version.
    public init?(frames: [[UInt8]]) {
        guard frames.count == 2, frames[0].starts(with: Self.topic), frames[1].count == 17,
            frames[1][0] == EventCodec.version,
            let publisher = ServiceName(
                rawValue: String(decoding: frames[0].dropFirst(Self.topic.count), as: UTF8.self))
        else { return nil }
        self.init(
            publisher: publisher, position: Position(epoch: frames[1].integer(at: 1), seq: frames[1].integer(at: 9)))
    }
}

extension [UInt8] {
    package mutating func appendInteger(_ value: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) {
            self.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }

    package func integer(at offset: Int) -> UInt64 {
        self[offset..<offset + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }
}
