import Events
import Testing

@testable import OBSBridge

@Suite struct RenamedScenesTests {
    private static let sources = ["clock": source("clock"), "logo": source("logo")]

    private static func renamed(_ stored: [Placement], _ scenes: [StudioSnapshot.Scene]) -> [String] {
        Reconciliation.renamedScenes(stored, snapshot(scenes), sources: Self.sources).map { "\($0.old) to \($0.new)" }
    }

    @Test func `a scene is known by its uuid`() {
        let stored = [placement("clock", in: "A", uuid: "1")]
        #expect(Self.renamed(stored, [scene("B", uuid: "1")]) == ["A to B"])
        // Whatever is in it, and though another scene has its name now.
        #expect(Self.renamed(stored, [scene("A", uuid: "2", [item(1, "clock")]), scene("B", uuid: "1")]) == ["A to B"])
        #expect(Self.renamed(stored, [scene("A", uuid: "1")]) == [])
        #expect(Self.renamed(stored, []) == [])
    }

    @Test func `one with another uuid is another scene, though it looks the same`() {
        #expect(
            Self.renamed([placement("clock", in: "A", uuid: "1")], [scene("B", uuid: "2", [item(1, "clock")])]) == [])
    }

    @Test func `without uuids a scene is known by what it holds`() {
        let stored = [placement("clock", in: "A", item: 1), placement("logo", in: "A", item: 2)]
        let items = [item(1, "clock"), item(2, "logo"), item(3, "Camera")]
        #expect(Self.renamed(stored, [scene("B", items), scene("C", [])]) == ["A to B"])
        // The scene is still there.
        #expect(Self.renamed(stored, [scene("A", []), scene("B", items)]) == [])
        // Not all of it, or under other numbers.
        #expect(Self.renamed(stored, [scene("B", [item(1, "clock")])]) == [])
        #expect(Self.renamed(stored, [scene("B", [item(1, "clock"), item(9, "logo")])]) == [])
        #expect(Self.renamed(stored, [scene("B", [item(1, "logo"), item(2, "clock")])]) == [])
        // Two that it may be.
        #expect(Self.renamed(stored, [scene("B", items), scene("C", items)]) == [])
    }

    @Test func `a scene with placements of its own is no other one's`() {
        let stored = [placement("clock", in: "A"), placement("clock", in: "B")]
        #expect(Self.renamed(stored, [scene("B", [item(1, "clock")])]) == [])
    }

    @Test func `a uuid that OBS has learned to tell since is no hindrance`() {
        #expect(Self.renamed([placement("clock", in: "A")], [scene("B", uuid: "1", [item(1, "clock")])]) == ["A to B"])
        #expect(Self.renamed([placement("clock", in: "A", uuid: "1")], [scene("B", [item(1, "clock")])]) == ["A to B"])
    }

    @Test(arguments: [["A": "B", "B": "C"], ["B": "A", "C": "B"], ["A": "B", "B": "A"]])
    func `scenes that took each other's names keep what stood in them`(names: [String: String]) {
        // Done one after the other, as the database is told.
        var stored = names.keys.sorted().map { placement("in \($0)", in: $0, uuid: $0) }
        let scenes = names.map { scene($0.value, uuid: $0.key) }
        for (old, new) in Reconciliation.renamedScenes(stored, snapshot(scenes), sources: [:]) {
            for index in stored.indices where stored[index].scene == old { stored[index].scene = new }
        }
        for placement in stored {
            #expect(placement.scene == placement.sceneUUID.flatMap { names[$0] }, "\(placement.source)")
        }
    }
}
