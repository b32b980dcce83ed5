package import Events

/// One entry of a scene, as OBS says it (`GetSceneItemList`).
package struct SceneItem: Sendable {
    package var id: Int
    /// From the bottom.
    package var index: Int
    package var isEnabled: Bool
    package var transform: JSON
    package var sourceName: String
    package var sourceUUID: String?
    package var kind: String?

    package init?(_ item: JSON) {
        guard let id = item["sceneItemId"]?.integer, let name = item["sourceName"]?.string else { return nil }
        self.id = Int(id)
        self.index = Int(item["sceneItemIndex"]?.integer ?? 0)
        self.isEnabled = item["sceneItemEnabled"]?.bool ?? true
        self.transform = item["sceneItemTransform"] ?? [:]
        self.sourceName = name
        self.sourceUUID = item["sourceUuid"]?.string
        self.kind = item["inputKind"]?.string
    }

    /// Where it stands, in our words. Scaling is told from size by what is `known` of the placement.
    package func config(knowing known: PlacementConfig?) -> PlacementConfig {
        func number(_ name: String) -> Double { self.transform[name]?.double ?? 0 }
        let (scaleX, scaleY) = (known?.scaleX ?? 1, known?.scaleY ?? 1)
        let isBounded = self.transform["boundsType"]?.string.map { $0 != "OBS_BOUNDS_NONE" } ?? false
        let width = number(isBounded ? "boundsWidth" : "width")
        let height = number(isBounded ? "boundsHeight" : "height")
        return PlacementConfig(
            x: number("positionX").thousandths, y: number("positionY").thousandths,
            width: (width / scaleX).thousandths, height: (height / scaleY).thousandths, scaleX: scaleX, scaleY: scaleY,
            rotation: number("rotation").turned.thousandths, visible: self.isEnabled)
    }
}

extension PlacementConfig {
    /// The size is said through bounds, since OBS's own width and height cannot be set (contract obs-websocket §6).
    package var transform: JSON {
        [
            "positionX": .number(self.x), "positionY": .number(self.y), "rotation": .number(self.rotation),
            "alignment": 5, "boundsType": "OBS_BOUNDS_STRETCH", "boundsAlignment": 0,
            "boundsWidth": .number(self.width * self.scaleX), "boundsHeight": .number(self.height * self.scaleY),
        ]
    }
}

extension Double {
    fileprivate var thousandths: Double { (self * 1000).rounded() / 1000 }

    /// In degrees from 0 to 360.
    fileprivate var turned: Double {
        guard !(0...360).contains(self) else { return self }
        let rest = self.truncatingRemainder(dividingBy: 360)
        return rest < 0 ? rest + 360 : rest
    }
}
