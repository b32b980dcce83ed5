import Events
import ForeignMessages

/// What OBS told by itself and nobody has looked at yet. Events only say where to look: several become one look, and what our own
/// requests caused is no difference when it is looked at.
struct Inbox {
    var renamedScenes: [(old: String, new: String)] = []
    /// Program scenes, in order.
    var shownScenes: [String] = []
    var changedScenes: Set<String> = []
    /// By name: those that we made ourselves need no look.
    var createdInputs: Set<String> = []
    /// All of them may have changed.
    var mustReadScenes = false
    var mustReadAll = false
    /// Another scene collection is there.
    var mustSync = false
    /// OBS tears down what it holds: what it tells is not what anybody wants.
    private(set) var isTearingDown = false

    /// How soon somebody has to look.
    enum Urgency { case none, soon, now }

    private static let shownMax = 1000

    var isEmpty: Bool {
        self.renamedScenes.isEmpty && self.shownScenes.isEmpty && self.changedScenes.isEmpty
            && self.createdInputs.isEmpty && !self.mustReadAll
            && !self.mustReadScenes && !self.mustSync
    }

    mutating func heard(_ event: OBSEvent) -> Urgency {
        switch event.type {
        case "CurrentSceneCollectionChanging", "ExitStarted":
            self = Inbox()
            self.isTearingDown = true
            return .none
        case "CurrentSceneCollectionChanged":
            self = Inbox()
            self.mustSync = true
            return .now
        default: break
        }
        if self.isTearingDown { return .none }
        switch event.type {
        case "CurrentProgramSceneChanged":
            guard let scene = event["sceneName"], self.shownScenes.count < Self.shownMax else { return .none }
            self.shownScenes.append(scene)
            return .now
        case "SceneNameChanged":
            guard let old = event["oldSceneName"], let new = event["sceneName"] else { return .none }
            self.renamedScenes.append((old, new))
            self.mustReadAll = true
        case "SceneItemCreated", "SceneItemRemoved", "SceneItemEnableStateChanged", "SceneItemTransformChanged",
            "SceneItemListReindexed":
            guard let scene = event["sceneName"] else { return .none }
            self.changedScenes.insert(scene)
        case "InputCreated":
            guard let input = event["inputName"] else { return .none }
            self.createdInputs.insert(input)
        case "SceneCreated", "SceneRemoved", "InputRemoved", "InputNameChanged",
            "SceneCollectionListChanged":
            self.mustReadAll = true
        default: return .none
        }
        return .soon
    }

    /// Takes what there is.
    mutating func take() -> Inbox {
        let taken = self
        self = Inbox()
        self.isTearingDown = taken.isTearingDown
        return taken
    }

    /// Puts back what could not be dealt with, before what came meanwhile.
    mutating func putBack(_ earlier: Inbox) {
        self.renamedScenes = earlier.renamedScenes + self.renamedScenes
        self.shownScenes = earlier.shownScenes + self.shownScenes
        self.changedScenes.formUnion(earlier.changedScenes)
        self.createdInputs.formUnion(earlier.createdInputs)
        self.mustReadScenes = self.mustReadScenes || earlier.mustReadScenes
        self.mustReadAll = self.mustReadAll || earlier.mustReadAll
        self.mustSync = self.mustSync || earlier.mustSync
    }
}
