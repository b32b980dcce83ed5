import Events
import Testing

@testable import OBSBridge

@Suite struct PlacementChangeTests {
    private static let later = now + .seconds(60)
    private static let sources = ["Clock": source("clock"), "Logo": source("logo")]

    /// One line a change.
    private static func changes(_ stored: [Placement], _ scenes: [StudioSnapshot.Scene]) -> [PlacementChange] {
        PlacementChange.all(stored: stored, scenes: scenes, sources: Self.sources, at: Self.later)
    }

    private static func words(_ changes: [PlacementChange]) -> [String] {
        changes.map { change in
            switch change {
            case .added(let placement): "added \(placement.source) in \(placement.scene) as \(placement.itemID)"
            case .removed(let placement): "removed \(placement.source) from \(placement.scene)"
            case .changed(let placement, let fields):
                "changed \(placement.source): \(fields.map(\.name).joined(separator: " "))"
            case .renumbered(let placement):
                "renumbered \(placement.source) to \(placement.itemID)/\(placement.itemIndex)"
            }
        }
    }

    @Test func `what stands as stored is no change`() {
        #expect(Self.changes([placement("clock")], [scene([item(1, "Clock")])]).isEmpty)
        #expect(Self.changes([], [scene([item(1, "Camera")])]).isEmpty)
        #expect(Self.changes([], []).isEmpty)
    }

    @Test func `a scene that nobody looked at is left alone`() {
        #expect(Self.changes([placement("clock", in: "Other")], [scene([])]).isEmpty)
    }

    @Test func `an item that is gone is a placement removed`() {
        let changes = Self.changes([placement("clock"), placement("logo", item: 2)], [scene([item(2, "Logo")])])
        #expect(Self.words(changes) == ["removed clock from Scene"])
    }

    @Test func `an item that is new is a placement added, as it stands`() throws {
        let config = PlacementConfig(x: 5, y: 6, width: 100, height: 50, rotation: 90, visible: false)
        let changes = Self.changes([], [scene(uuid: "u", [item(9, "Clock", index: 4, config)])])
        guard case .added(let added) = try #require(changes.first), changes.count == 1 else {
            Issue.record("\(changes)")
            return
        }
        #expect(
            added
                == Placement(
                    scene: "Scene", sceneUUID: "u", source: "clock", sourceName: "clock", config: config, itemID: 9,
                    itemIndex: 4, addedAt: Self.later, updatedAt: Self.later))
    }

    @Test func `a source's second item in a scene is the user's own`() {
        let items = [item(1, "Clock"), item(2, "Clock", PlacementConfig(x: 9, width: 640, height: 360))]
        #expect(Self.changes([placement("clock", item: 1)], [scene(items)]).isEmpty)
        #expect(Self.words(Self.changes([], [scene(items)])) == ["added clock in Scene as 1"])
        // The one with the stored number is the placement's, wherever it stands.
        #expect(Self.words(Self.changes([placement("clock", item: 2)], [scene(items)])) == ["changed clock: x"])
    }

    @Test func `where the number is another's the source's own item counts`() {
        let changes = Self.changes(
            [placement("clock", item: 1)], [scene([item(1, "Logo"), item(2, "Clock", index: 1)])])
        #expect(Self.words(changes) == ["renumbered clock to 2/1", "added logo in Scene as 1"])
    }

    @Test func `what differs is told with its values`() throws {
        let seen = PlacementConfig(x: 12.5, width: 640, height: 180, rotation: 90, visible: false)
        let changes = Self.changes([placement("clock")], [scene(uuid: "u", [item(1, "Clock", index: 2, seen)])])
        guard case .changed(let changed, let fields) = try #require(changes.first), changes.count == 1 else {
            Issue.record("\(changes)")
            return
        }
        #expect(fields.map(\.name) == ["x", "height", "rotation", "visible"])
        #expect(fields.map(\.value) == [12.5, 180.0, 90.0, false])
        #expect(changed.config == seen)
        #expect(changed.itemIndex == 2 && changed.sceneUUID == "u")
        #expect(changed.updatedAt == Self.later && changed.addedAt == now)
    }

    @Test func `a stored scale stays, and the size tells the rest`() throws {
        let stored = PlacementConfig(width: 640, height: 360, scaleX: 2, scaleY: 0.5)
        #expect(Self.changes([placement("clock", stored)], [scene([item(1, "Clock", stored)])]).isEmpty)
        let bounds = PlacementConfig(width: 640, height: 360)
        let changes = Self.changes([placement("clock", stored)], [scene([item(1, "Clock", bounds)])])
        guard case .changed(let changed, _) = try #require(changes.first) else { return }
        #expect(changed.config == PlacementConfig(width: 320, height: 720, scaleX: 2, scaleY: 0.5))
    }

    @Test func `numbers of OBS's own are told to nobody`() {
        let changes = Self.changes([placement("clock", item: 1)], [scene([item(8, "Clock", index: 3)])])
        #expect(Self.words(changes) == ["renumbered clock to 8/3"])
        #expect(Self.words(Self.changes([placement("clock")], [scene(uuid: "u", [item(1, "Clock")])])).count == 1)
    }

    @Test func `each scene has its own placements`() {
        let changes = Self.changes(
            [placement("clock", in: "A", item: 1), placement("clock", in: "B", item: 1)],
            [scene("A", []), scene("B", [item(1, "Clock")]), scene("C", [item(4, "Clock")])])
        #expect(Self.words(changes) == ["removed clock from A", "added clock in C as 4"])
    }
}
