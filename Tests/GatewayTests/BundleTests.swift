import Dialects
import Events
import Testing

@testable import Gateway

@Suite struct BundleTests {
    private func numbered(
        _ number: UInt64, _ type: EventType = "radio.now_playing", tenant: String = "t", room: String = "r",
        bytes: Int = 10
    ) throws -> Bundle.Numbered {
        let event = Event(
            id: ULID(), type: type, tenant: tenant, room: room, publisher: .radioPlayout, time: .now,
            data: [UInt8](repeating: 32, count: bytes))
        return Bundle.Numbered(event: event, kind: try #require(Catalogue.byType[type]), number: number)
    }

    private func projection(_ keys: [String]) -> Projection { Projection(keys: keys) { [] } }

    @Test func `it takes what concerns the same listeners, in order`() throws {
        var bundle = Bundle(self.projection(["a", "*"]), of: try self.numbered(1))
        #expect(bundle.take(self.projection(["a", "*"]), of: try self.numbered(2)))
        #expect(bundle.take(self.projection(["a", "*"]), of: try self.numbered(3)))
        #expect(bundle.events.map(\.number) == [1, 2, 3])
        #expect(bundle.projections.count == 3)
    }

    @Test func `it refuses what others may see or have asked for`() throws {
        var bundle = Bundle(self.projection(["a"]), of: try self.numbered(1))
        #expect(!bundle.take(self.projection(["b"]), of: try self.numbered(2)))
        #expect(!bundle.take(self.projection(["a", "b"]), of: try self.numbered(2)))
        #expect(!bundle.take(self.projection(["a"]), of: try self.numbered(2, "radio.health")))
        #expect(!bundle.take(self.projection(["a"]), of: try self.numbered(2, tenant: "u")))
        #expect(!bundle.take(self.projection(["a"]), of: try self.numbered(2, room: "s")))
        #expect(bundle.events.map(\.number) == [1])
    }

    @Test func `it is bounded in bytes and events`() throws {
        var large = Bundle(self.projection(["a"]), of: try self.numbered(1, bytes: 100_000))
        #expect(!large.take(self.projection(["a"]), of: try self.numbered(2, bytes: 100_000)))
        var many = Bundle(self.projection(["a"]), of: try self.numbered(1))
        var count = 1
        while count < 10_000, many.take(self.projection(["a"]), of: try self.numbered(UInt64(count) + 1)) { count += 1 }
        #expect(count == 256)
    }
}
