import Events
import ForeignMessages
import Testing

@testable import OBSBridge

@Suite struct ReconciliationTests {
    private static let later = now + .seconds(60)

    private static func plan(
        _ stored: [Placement], names: [Placements.InputName] = [], sources: [String: Source],
        deleted: Set<String> = [], _ snapshot: StudioSnapshot
    ) -> Reconciliation {
        Reconciliation(
            stored: stored, names: names, sources: sources, deleted: deleted, snapshot: snapshot, at: Self.later)
    }

    /// What is to be done, one line each.
    private static func words(_ plan: Reconciliation) -> [String] {
        plan.scenesToCreate.map { "make scene \($0)" } + plan.inputsToRemove.map { "remove input \($0)" }
            + plan.itemsToRemove.map { "remove item \($0.id) from \($0.scene)" }
            + plan.inputsToRename.map { "rename input \($0.from) to \($0.to)" }
            + plan.inputsToCreate.map { "make input \($0.name) for \($0.placement.source) in \($0.placement.scene)" }
            + plan.itemsToCreate.map { "make item of \($0.input) in \($0.placement.scene)" }
            + plan.itemsToMove.map { "move \($0.source) in \($0.scene)" }
    }

    private static let clock = byID(source("clock"))

    @Test func `nothing is done where all is as stored`() {
        let plan = Self.plan(
            [placement("clock")], names: [.init(source: "clock", name: "clock", uuid: "u")], sources: Self.clock,
            snapshot([scene([item(1, "clock")])], inputs: [input("clock", uuid: "u")]))
        #expect(Self.words(plan) == [])
        #expect(plan.renumbered.isEmpty && plan.inputs.isEmpty)
    }

    @Test func `nothing is done where nothing is stored and nothing is ours`() {
        let plan = Self.plan([], sources: [:], snapshot([scene([item(1, "Camera")])], others: ["Camera"]))
        #expect(Self.words(plan) == [])
    }

    @Test func `a scene that is missing is made once, with what stood there`() {
        let plan = Self.plan(
            [
                placement("clock", in: "B"), placement("clock", in: "A", item: 2), placement("logo", in: "B", item: 3),
            ], sources: byID(source("clock"), source("logo")), snapshot([scene([])]))
        #expect(
            Self.words(plan) == [
                "make scene A", "make scene B", "make input clock for clock in B", "make input logo for logo in B",
                "make item of clock in A",
            ])
    }

    @Test func `an input that is missing is made with its first placement, and items of it with the others`() {
        let plan = Self.plan(
            [placement("clock", in: "A"), placement("clock", in: "B")], sources: Self.clock,
            snapshot([scene("A"), scene("B")]))
        #expect(Self.words(plan) == ["make input clock for clock in A", "make item of clock in B"])
    }

    @Test func `an item that is missing is made of the input that is there`() {
        let plan = Self.plan(
            [placement("clock", in: "A"), placement("clock", in: "B")],
            names: [.init(source: "clock", name: "clock", uuid: nil)], sources: Self.clock,
            snapshot([scene("A", [item(1, "clock")]), scene("B")], inputs: [input("clock")]))
        #expect(Self.words(plan) == ["make item of clock in B"])
    }

    @Test func `an item that stands elsewhere is moved back, under the numbers that it has now`() throws {
        let stored = placement("clock", item: 1, PlacementConfig(x: 10, width: 640, height: 360))
        let plan = Self.plan(
            [stored], sources: Self.clock,
            snapshot([scene(uuid: "s", [item(7, "clock", index: 2)])], inputs: [input("clock")]))
        #expect(Self.words(plan) == ["move clock in Scene"])
        let moved = try #require(plan.itemsToMove.first)
        #expect(moved.config == stored.config)
        #expect(moved.itemID == 7 && moved.itemIndex == 2 && moved.sceneUUID == "s")
        guard case .renumbered(let renumbered) = try #require(plan.renumbered.first) else {
            Issue.record("somebody would be told")
            return
        }
        #expect(renumbered == moved)
    }

    @Test func `an item that only has other numbers is left where it is`() throws {
        let plan = Self.plan(
            [placement("clock")], sources: Self.clock,
            snapshot([scene([item(5, "clock", index: 3)])], inputs: [input("clock")]))
        #expect(Self.words(plan) == [])
        guard case .renumbered(let placement) = try #require(plan.renumbered.first) else { return }
        #expect(placement.itemID == 5 && placement.itemIndex == 3)
    }

    @Test func `an item of ours that is not stored goes, and its input stays for the stored ones`() {
        let plan = Self.plan(
            [placement("clock", in: "A")], sources: Self.clock,
            snapshot(
                [scene("A", [item(1, "clock")]), scene("B", [item(4, "clock"), item(5, "Camera")])],
                inputs: [input("clock")]))
        #expect(Self.words(plan) == ["remove item 4 from B"])
    }

    @Test func `an input of a source that is placed nowhere goes with its items`() {
        let plan = Self.plan(
            [], sources: Self.clock, snapshot([scene([item(1, "clock")])], inputs: [input("clock")]))
        #expect(Self.words(plan) == ["remove input clock"])
    }

    @Test func `an input of nobody's source is left alone, one of a deleted source goes`() {
        let inputs = [input("theirs"), input("deleted"), input("deleted", name: "deleted 2")]
        let plan = Self.plan(
            [], names: [.init(source: "deleted", name: "deleted", uuid: nil)], sources: [:], deleted: ["deleted"],
            snapshot([scene([item(1, "theirs"), item(2, "deleted")])], inputs: inputs))
        #expect(Self.words(plan) == ["remove input deleted", "remove input deleted 2"])
        #expect(plan.inputs.isEmpty)
    }

    @Test func `a placement of a source that is not there is passed over`() {
        let plan = Self.plan([placement("gone")], sources: [:], snapshot([scene([])]))
        #expect(Self.words(plan) == [])
    }

    @Test func `an input that was duplicated by hand is left alone`() {
        let names = [Placements.InputName(source: "clock", name: "clock", uuid: "u1")]
        let inputs = [input("clock", name: "clock 2", uuid: "u2"), input("clock", uuid: "u1")]
        let items = [item(1, "clock"), item(2, "clock 2", PlacementConfig(x: 99, width: 640, height: 360))]
        let plan = Self.plan(
            [placement("clock")], names: names, sources: Self.clock, snapshot([scene(items)], inputs: inputs))
        #expect(Self.words(plan) == [])
        // Nor when the source is placed no more: the copy is the user's.
        let empty = Self.plan([], names: names, sources: Self.clock, snapshot([scene(items)], inputs: inputs))
        #expect(Self.words(empty) == ["remove input clock"])
    }

    // MARK: inputs' names

    private static func choose(_ inputs: [StudioSnapshot.Input], _ name: Placements.InputName?) -> String? {
        Reconciliation.choose(inputs, name.map { [$0] } ?? [])["clock"]?.name
    }

    @Test func `of several inputs the uuid decides, then the name, then the order`() {
        let inputs = [
            input("clock", name: "A", uuid: "1"), input("clock", name: "B", uuid: "2"),
            input("clock", name: "C", uuid: nil),
        ]
        #expect(Self.choose(inputs, .init(source: "clock", name: "A", uuid: "2")) == "B")
        #expect(Self.choose(inputs, .init(source: "clock", name: "B", uuid: "9")) == "B")
        #expect(Self.choose(inputs, .init(source: "clock", name: "C", uuid: nil)) == "C")
        #expect(Self.choose(inputs, .init(source: "clock", name: "Z", uuid: nil)) == "A")
        #expect(Self.choose(inputs, nil) == "A")
        #expect(Self.choose([], nil) == nil)
    }

    @Test func `an input that was renamed is renamed back`() {
        let plan = Self.plan(
            [placement("clock")], names: [.init(source: "clock", name: "clock", uuid: "u")], sources: Self.clock,
            snapshot([scene([item(1, "Uhr")])], inputs: [input("clock", name: "Uhr", uuid: "u")]))
        #expect(Self.words(plan) == ["rename input Uhr to clock"])
        #expect(plan.inputs.isEmpty)
    }

    @Test func `a new item of an input that is renamed back has the name that it has then`() {
        let plan = Self.plan(
            [placement("clock", in: "A"), placement("clock", in: "B")],
            names: [.init(source: "clock", name: "clock", uuid: "u")], sources: Self.clock,
            snapshot(
                [scene("A", [item(1, "Uhr")]), scene("B")], inputs: [input("clock", name: "Uhr", uuid: "u")]))
        // Inputs are renamed before items are made.
        #expect(Self.words(plan) == ["rename input Uhr to clock", "make item of clock in B"])
    }

    @Test func `a name that somebody took meanwhile stays theirs, and ours is known by its new one`() {
        let plan = Self.plan(
            [placement("clock")], names: [.init(source: "clock", name: "clock", uuid: "u")], sources: Self.clock,
            snapshot(
                [scene([item(1, "Uhr")])], inputs: [input("clock", name: "Uhr", uuid: "u")], others: ["clock"]))
        #expect(Self.words(plan) == [])
        #expect(plan.inputs == [.init(source: "clock", name: "Uhr", uuid: "u")])
    }

    @Test func `an input's new uuid is stored`() {
        let plan = Self.plan(
            [placement("clock")], names: [.init(source: "clock", name: "clock", uuid: "old")], sources: Self.clock,
            snapshot([scene([item(1, "clock")])], inputs: [input("clock", uuid: "new")]))
        #expect(Self.words(plan) == [])
        #expect(plan.inputs == [.init(source: "clock", name: "clock", uuid: "new")])
    }

    @Test func `a name that is taken gets a number`() {
        let plan = Self.plan(
            [placement("clock"), placement("other", item: 2)],
            sources: byID(source("clock"), source("other", name: "clock")),
            snapshot([scene([])], others: ["clock", "clock (2)"]))
        #expect(
            Self.words(plan) == [
                "make input clock (3) for clock in Scene", "make input clock (4) for other in Scene",
            ])
        #expect(Reconciliation.freeName("A", taken: []) == "A")
        #expect(Reconciliation.freeName("A", taken: ["a"]) == "A")
        #expect(Reconciliation.freeName("A", taken: ["A"]) == "A (2)")
    }

    @Test func `an input is made under the name that it had`() {
        let plan = Self.plan(
            [placement("clock")], names: [.init(source: "clock", name: "Uhr", uuid: "u")], sources: Self.clock,
            snapshot([scene([])]))
        #expect(Self.words(plan) == ["make input Uhr for clock in Scene"])
    }

    @Test func `a stack of many sources is made in its order, and kept where it is there`() {
        let ids = (0..<21).map { "s\($0)" }
        let sources = Dictionary(uniqueKeysWithValues: ids.map { ($0, source($0)) })
        let stored = ids.enumerated().map { placement($1, item: $0 + 1, index: $0) }
        let plan = Self.plan(stored, sources: sources, snapshot([scene([])]))
        #expect(plan.inputsToCreate.map(\.placement) == stored)
        let items = ids.enumerated().map { item($0 + 1, $1, index: $0) }
        let inputs = ids.map { input($0) }
        #expect(Self.words(Self.plan(stored, sources: sources, snapshot([scene(items)], inputs: inputs))) == [])
        // One in the middle is gone: the ones above it have slid down, and keep their numbers.
        let without = items.filter { $0.id != 11 }.enumerated().map { place, old in
            item(old.id, old.sourceName, index: place)
        }
        let gap = Self.plan(
            stored, sources: sources, snapshot([scene(without)], inputs: inputs.filter { $0.source != "s10" }))
        #expect(Self.words(gap) == ["make input s10 for s10 in Scene"])
        #expect(gap.inputsToCreate.first?.placement.itemIndex == 10)
        #expect(gap.renumbered.count == 10)
    }
}
