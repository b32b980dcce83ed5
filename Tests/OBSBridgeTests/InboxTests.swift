import Events
import Testing

@testable import ForeignMessages
@testable import OBSBridge

@Suite struct InboxTests {
    private static func event(_ type: String, _ data: JSON = [:]) -> OBSEvent { OBSEvent(type: type, data: data) }

    private static let changing = event("CurrentSceneCollectionChanging", ["sceneCollectionName": "A"])
    private static let changed = event("CurrentSceneCollectionChanged", ["sceneCollectionName": "B"])
    private static let shown = event("CurrentProgramSceneChanged", ["sceneName": "A"])
    private static let removed = event("SceneItemRemoved", ["sceneName": "A"])

    @Test(
        arguments: [
            ("SceneItemCreated", .soon), ("SceneItemRemoved", .soon), ("SceneItemEnableStateChanged", .soon),
            ("SceneItemTransformChanged", .soon), ("SceneItemListReindexed", .soon), ("SceneCreated", .soon),
            ("SceneRemoved", .soon), ("InputCreated", .soon), ("InputRemoved", .soon), ("InputNameChanged", .soon),
            ("SceneCollectionListChanged", .soon), ("CurrentProgramSceneChanged", .now),
            ("CurrentSceneCollectionChanged", .now), ("CurrentSceneCollectionChanging", .none), ("ExitStarted", .none),
            ("StreamStateChanged", .none), ("InputSettingsChanged", .none), ("VendorEvent", .none), ("", .none),
        ] as [(String, Inbox.Urgency)])
    func `an event says how soon somebody has to look`(type: String, urgency: Inbox.Urgency) {
        var inbox = Inbox()
        #expect(inbox.heard(Self.event(type, ["sceneName": "A", "inputName": "I"])) == urgency)
        #expect(inbox.isEmpty == (urgency == .none))
    }

    @Test(arguments: [
        "SceneItemCreated", "SceneItemTransformChanged", "CurrentProgramSceneChanged", "SceneNameChanged",
        "InputCreated",
    ])
    func `an event that lacks what it is about is nothing`(type: String) {
        var inbox = Inbox()
        for data: JSON in [[:], ["sceneName": 1], .null, []] {
            #expect(inbox.heard(Self.event(type, data)) == .none)
        }
        #expect(inbox.isEmpty)
    }

    @Test func `several events are one look`() {
        var inbox = Inbox()
        for _ in 0..<5 { _ = inbox.heard(Self.event("SceneItemTransformChanged", ["sceneName": "A"])) }
        _ = inbox.heard(Self.event("SceneItemCreated", ["sceneName": "B"]))
        for name in ["I", "J", "I"] { _ = inbox.heard(Self.event("InputCreated", ["inputName": .string(name)])) }
        let taken = inbox.take()
        #expect(taken.changedScenes == ["A", "B"])
        #expect(taken.createdInputs == ["I", "J"])
        #expect(!taken.mustReadAll && !taken.mustSync && taken.shownScenes.isEmpty)
        #expect(inbox.isEmpty)
        #expect(inbox.take().isEmpty)
    }

    @Test func `every program scene is kept, in order, up to a bound`() {
        var inbox = Inbox()
        for name in ["A", "B", "A"] {
            #expect(inbox.heard(Self.event("CurrentProgramSceneChanged", ["sceneName": .string(name)])) == .now)
        }
        #expect(inbox.shownScenes == ["A", "B", "A"])
        for _ in 0..<2000 { _ = inbox.heard(Self.shown) }
        #expect(inbox.shownScenes.count == 1000)
    }

    @Test func `a renamed scene is remembered in order, and everything is read`() {
        var inbox = Inbox()
        for (old, new) in [("A", "B"), ("B", "C")] {
            let urgency = inbox.heard(
                Self.event("SceneNameChanged", ["oldSceneName": .string(old), "sceneName": .string(new)]))
            #expect(urgency == .soon)
        }
        #expect(inbox.renamedScenes.map(\.old) == ["A", "B"])
        #expect(inbox.renamedScenes.map(\.new) == ["B", "C"])
        #expect(inbox.mustReadAll)
    }

    @Test(arguments: [changing, event("ExitStarted")])
    func `what OBS tears down is not what anybody wants`(beginning: OBSEvent) {
        var inbox = Inbox()
        _ = inbox.heard(Self.removed)
        #expect(inbox.heard(beginning) == .none)
        #expect(inbox.isEmpty)
        for event in [Self.removed, Self.shown, Self.event("SceneRemoved"), Self.event("InputRemoved")] {
            #expect(inbox.heard(event) == .none)
        }
        #expect(inbox.isEmpty && inbox.isTearingDown)
        // Taking it in between changes nothing.
        #expect(inbox.take().isEmpty)
        #expect(inbox.heard(Self.removed) == .none)
        #expect(inbox.isEmpty)
    }

    @Test func `another scene collection ends it, and all is compared anew`() {
        var inbox = Inbox()
        _ = inbox.heard(Self.changing)
        #expect(inbox.heard(Self.changed) == .now)
        #expect(inbox.mustSync && !inbox.isTearingDown)
        #expect(inbox.heard(Self.removed) == .soon)
        let taken = inbox.take()
        #expect(taken.mustSync && taken.changedScenes == ["A"])
        #expect(!inbox.mustSync && !inbox.isTearingDown)
    }

    @Test func `what could not be dealt with stands before what came meanwhile`() {
        var inbox = Inbox()
        _ = inbox.heard(Self.event("SceneNameChanged", ["oldSceneName": "A", "sceneName": "B"]))
        _ = inbox.heard(Self.event("CurrentProgramSceneChanged", ["sceneName": "1"]))
        _ = inbox.heard(Self.event("SceneItemCreated", ["sceneName": "B"]))
        _ = inbox.heard(Self.event("InputCreated", ["inputName": "I"]))
        inbox.mustReadScenes = true
        let earlier = inbox.take()
        _ = inbox.heard(Self.event("SceneNameChanged", ["oldSceneName": "B", "sceneName": "C"]))
        _ = inbox.heard(Self.event("CurrentProgramSceneChanged", ["sceneName": "2"]))
        _ = inbox.heard(Self.event("SceneItemCreated", ["sceneName": "C"]))
        _ = inbox.heard(Self.event("InputCreated", ["inputName": "J"]))
        inbox.putBack(earlier)
        #expect(inbox.renamedScenes.map(\.old) == ["A", "B"])
        #expect(inbox.shownScenes == ["1", "2"])
        #expect(inbox.changedScenes == ["B", "C"])
        #expect(inbox.createdInputs == ["I", "J"])
        #expect(inbox.mustReadAll && inbox.mustReadScenes && !inbox.mustSync)
    }

    @Test func `a comparison that failed is put back`() {
        var inbox = Inbox()
        _ = inbox.heard(Self.changed)
        let earlier = inbox.take()
        inbox.putBack(earlier)
        #expect(inbox.mustSync && !inbox.isEmpty)
    }
}
