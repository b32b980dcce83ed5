/// The bus's frames for an event: topic, header, data (docs/architecture.md). Integers are big-endian.
///
/// ```
/// topic   "d" or "t" "/" tenant "/" type "/" room; in tenant and type "%" is "%25" and "/" is "%2F"
/// header  version u8 · id 16 bytes · epoch u64 · term u64 · seq u64 (0: transient) · time i64 ms · publisher, the rest
/// data    one JSON object
/// ```
public enum EventCodec {
    public static let version: UInt8 = 2
    static let headerMinimum = 49

    /// A subscription to every durable event.
    public static let durableTopic: [UInt8] = Array("d/".utf8)
    /// A subscription to every transient event.
    public static let transientTopic: [UInt8] = Array("t/".utf8)

    public static func frames(of event: Event) -> [[UInt8]] {
        var topic = event.position == nil ? Self.transientTopic : Self.durableTopic
        topic.reserveCapacity(event.tenant.utf8.count + event.type.name.utf8.count + event.room.utf8.count + 8)
        for name in [event.tenant, event.type.name] {
            Self.append(escaped: name, to: &topic)
            topic.append(Self.slash)
        }
        topic.append(contentsOf: event.room.utf8)
        var header: [UInt8] = []
        header.reserveCapacity(Self.headerMinimum + 20)
        header.append(Self.version)
        header.appendInteger(event.id.high)
        header.appendInteger(event.id.low)
        header.appendInteger(event.position?.epoch ?? 0)
        header.appendInteger(event.position?.term ?? 0)
        header.appendInteger(event.position?.seq ?? 0)
        header.appendInteger(UInt64(bitPattern: event.time.milliseconds))
        header.append(contentsOf: event.publisher.rawValue.utf8)
        return [topic, header, event.data]
    }

    /// `nil` for frames that are not an event of this version.
    public static func event(from frames: [[UInt8]]) -> Event? {
        guard frames.count == 3, frames[1].count > Self.headerMinimum, frames[1][0] == Self.version else { return nil }
        let topic = frames[0].split(separator: UInt8(ascii: "/"), maxSplits: 3, omittingEmptySubsequences: false)
        let header = frames[1]
        guard topic.count == 4, let tenant = Self.unescaped(topic[1]), let type = Self.unescaped(topic[2]),
            let publisher = ServiceName(rawValue: String(decoding: header[Self.headerMinimum...], as: UTF8.self))
        else { return nil }
        let seq = header.integer(at: 33)
        return Event(
            id: ULID(high: header.integer(at: 1), low: header.integer(at: 9)),
            type: EventType(type),
            tenant: tenant,
            room: String(decoding: topic[3], as: UTF8.self),
            position: seq == 0
                ? nil : Position(epoch: header.integer(at: 17), term: header.integer(at: 25), seq: seq),
            publisher: publisher,
            time: Timestamp(milliseconds: Int64(bitPattern: header.integer(at: 41))),
            data: frames[2])
    }

    private static let slash = UInt8(ascii: "/")
    private static let percent = UInt8(ascii: "%")

    /// Appends a name without slashes, so that it cannot take the place of the part behind it. Byte by byte: a slash with a combining
    /// accent is another character, but a slash.
    private static func append(escaped name: String, to topic: inout [UInt8]) {
        guard name.utf8.contains(where: { $0 == Self.slash || $0 == Self.percent }) else {
            return topic.append(contentsOf: name.utf8)
        }
        for byte in name.utf8 {
            switch byte {
            case Self.slash: topic.append(contentsOf: "%2F".utf8)
            case Self.percent: topic.append(contentsOf: "%25".utf8)
            default: topic.append(byte)
            }
        }
    }

    /// Returns the name that was escaped; `nil` for bytes that `append(escaped:to:)` does not make.
    private static func unescaped(_ part: ArraySlice<UInt8>) -> String? {
        guard part.contains(Self.percent) else { return String(decoding: part, as: UTF8.self) }
        var bytes: [UInt8] = []
        var rest = part
        while let byte = rest.popFirst() {
            guard byte == Self.percent else {
                bytes.append(byte)
                continue
            }
            if rest.starts(with: [UInt8(ascii: "2"), UInt8(ascii: "5")]) {
                bytes.append(Self.percent)
            } else if rest.starts(with: [UInt8(ascii: "2"), UInt8(ascii: "F")]) {
                bytes.append(Self.slash)
            } else {
                return nil
            }
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// What a publisher says every second and when its writer becomes active: where its log ends, so that a lost tail is noticed, and
/// what its clock says, so that a difference between clocks is.
public struct Announcement: Sendable, Hashable {
    public var publisher: ServiceName
    /// The end of its log. Epoch 0: the publisher is alive, but its log is out of reach.
    public var position: Position
    /// The publisher's wall clock when it sent this.
    public var clock: Timestamp

    public static let topic: [UInt8] = Array("a/".utf8)

    public init(publisher: ServiceName, position: Position, clock: Timestamp = .now) {
        self.publisher = publisher
        self.position = position
        self.clock = clock
    }

    /// Topic · version u8 · epoch u64 · term u64 · seq u64 · clock i64 ms.
    public var frames: [[UInt8]] {
        var header: [UInt8] = [EventCodec.version]
        header.appendInteger(self.position.epoch)
        header.appendInteger(self.position.term)
        header.appendInteger(self.position.seq)
        header.appendInteger(UInt64(bitPattern: self.clock.milliseconds))
        return [Self.topic + Array(self.publisher.rawValue.utf8), header]
    }

    /// `nil` for frames that are not an announcement of this version.
    public init?(frames: [[UInt8]]) {
        guard frames.count == 2, frames[0].starts(with: Self.topic), frames[1].count == 33,
            frames[1][0] == EventCodec.version,
            let publisher = ServiceName(
                rawValue: String(decoding: frames[0].dropFirst(Self.topic.count), as: UTF8.self))
        else { return nil }
        let header = frames[1]
        self.init(
            publisher: publisher,
            position: Position(epoch: header.integer(at: 1), term: header.integer(at: 9), seq: header.integer(at: 17)),
            clock: Timestamp(milliseconds: Int64(bitPattern: header.integer(at: 25))))
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
