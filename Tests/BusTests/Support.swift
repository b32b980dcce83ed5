import Events
import NIOConcurrencyHelpers

/// A random source that gives the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// What has arrived at a test, from any thread.
final class Collected<Item: Sendable>: Sendable {
    private let box = NIOLockedValueBox<[Item]>([])

    var items: [Item] { self.box.withLockedValue { $0 } }
    func add(_ items: some Sequence<Item>) { self.box.withLockedValue { $0.append(contentsOf: items) } }
    func add(_ item: Item) { self.box.withLockedValue { $0.append(item) } }
}

extension Event {
    /// A durable event at that place, or a transient one.
    static func test(
        _ seq: UInt64?, epoch: UInt64 = 1, term: UInt64 = 1, publisher: ServiceName = .auth,
        data: [UInt8] = Array("{}".utf8)
    ) -> Event {
        Event(
            id: ULID(high: epoch << 32 | term, low: seq ?? 0), type: "test.happened", tenant: "default",
            room: "room/with/slashes",
            position: seq.map { Position(epoch: epoch, term: term, seq: $0) }, publisher: publisher,
            time: Timestamp(milliseconds: 1_700_000_000_123),
            data: data)
    }
}
