import Events
import Testing

@testable import ForeignMessages
@testable import OBSBridge

@Suite struct SceneItemTests {
    @Test func `an item is read as OBS says it`() throws {
        let item = try #require(
            SceneItem([
                "sceneItemId": 7, "sceneItemIndex": 3, "sceneItemEnabled": false, "sourceName": "Clock",
                "sourceUuid": "u", "inputKind": "browser_source", "isGroup": nil, "sceneItemTransform": ["rotation": 1],
            ]))
        #expect(item.id == 7 && item.index == 3 && !item.isEnabled && item.sourceName == "Clock")
        #expect(item.sourceUUID == "u" && item.kind == "browser_source" && item.transform == ["rotation": 1])
    }

    @Test func `an item that says little is whole and shown`() throws {
        let item = try #require(SceneItem(["sceneItemId": 7, "sourceName": "Clock", "inputKind": nil]))
        #expect(item.isEnabled && item.index == 0 && item.sourceUUID == nil && item.kind == nil)
        #expect(item.config(knowing: nil) == PlacementConfig(width: 0, height: 0))
    }

    @Test(
        arguments: [
            [:], ["sceneItemId": 7], ["sourceName": "Clock"], ["sceneItemId": "7", "sourceName": "Clock"],
            ["sceneItemId": 7.5, "sourceName": "Clock"], ["sceneItemId": 7, "sourceName": nil], .null, [],
        ] as [JSON])
    func `an entry without number or name is none`(json: JSON) { #expect(SceneItem(json) == nil) }

    private static func config(_ transform: JSON, knowing known: PlacementConfig? = nil) throws -> PlacementConfig {
        let item = try #require(
            SceneItem(["sceneItemId": 1, "sourceName": "S", "sceneItemTransform": transform]))
        return item.config(knowing: known)
    }

    @Test func `an item with bounds has their size, divided by what is known of its scale`() throws {
        let transform: JSON = [
            "positionX": 10, "positionY": 20.5, "boundsType": "OBS_BOUNDS_STRETCH", "boundsWidth": 1280,
            "boundsHeight": 180, "width": 1, "height": 1, "scaleX": 9, "scaleY": 9, "rotation": 90,
        ]
        #expect(
            try Self.config(transform) == PlacementConfig(x: 10, y: 20.5, width: 1280, height: 180, rotation: 90))
        let known = PlacementConfig(width: 1, height: 1, scaleX: 2, scaleY: 0.5)
        #expect(
            try Self.config(transform, knowing: known)
                == PlacementConfig(x: 10, y: 20.5, width: 640, height: 360, scaleX: 2, scaleY: 0.5, rotation: 90))
    }

    @Test(arguments: ["OBS_BOUNDS_NONE", nil])
    func `an item without bounds has the size that OBS says`(bounds: String?) throws {
        let transform: JSON = [
            "positionX": 0, "positionY": 0, "boundsType": JSON(bounds), "boundsWidth": 5, "boundsHeight": 5,
            "width": 320, "height": 240, "rotation": 0,
        ]
        #expect(try Self.config(transform) == PlacementConfig(width: 320, height: 240))
    }

    @Test(arguments: [
        (0, 0), (360, 360), (-90, 270), (-360, 0), (359.5, 359.5), (450, 90), (-450, 270), (720, 0), (-0.5, 359.5),
        (12.3456, 12.346),
    ])
    func `a turn is told from 0 to 360`(rotation: Double, told: Double) throws {
        #expect(try Self.config(["rotation": .number(rotation)]).rotation == told)
    }

    @Test(
        arguments: [
            PlacementConfig(x: 0.1, y: -0.3, width: 1920, height: 1080),
            PlacementConfig(x: 90_001, y: -90_001, width: 7680, height: 4320, scaleX: 10, scaleY: 10, rotation: 359.99),
            PlacementConfig(x: 1234.567, y: 765.432, width: 333.33, height: 1, scaleX: 0.1, scaleY: 0.3, rotation: 360),
            PlacementConfig(width: 640, height: 360, scaleX: 1.7, scaleY: 3.3, rotation: 0.1, visible: false),
        ])
    func `what OBS keeps in single precision is no difference`(config: PlacementConfig) throws {
        var members = try #require(config.transform.object)
        for (name, value) in members {
            if let number = value.double { members[name] = .number(Double(Float(number))) }
        }
        let item = try #require(
            SceneItem([
                "sceneItemId": 1, "sourceName": "S", "sceneItemEnabled": .bool(config.visible),
                "sceneItemTransform": .object(members),
            ]))
        #expect(item.config(knowing: config).differences(from: config).isEmpty)
    }

    @Test func `a hundredth is a difference and less is none`() {
        let config = PlacementConfig(width: 640, height: 360)
        var other = config
        other.x = 0.009
        #expect(other.differences(from: config).isEmpty)
        other.x = 0.011
        other.rotation = -0.02
        other.visible = false
        let differences = other.differences(from: config)
        #expect(differences.map(\.name) == ["x", "rotation", "visible"])
        #expect(differences.map(\.value) == [0.011, -0.02, false])
    }

    @Test func `a place is said through bounds`() {
        let config = PlacementConfig(x: 1, y: 2, width: 640, height: 360, scaleX: 2, scaleY: 0.5, rotation: 45)
        #expect(
            config.transform == [
                "positionX": 1.0, "positionY": 2.0, "rotation": 45.0, "alignment": 5,
                "boundsType": "OBS_BOUNDS_STRETCH", "boundsAlignment": 0, "boundsWidth": 1280.0, "boundsHeight": 180.0,
            ])
    }
}
