import Events
import HTTPTypes
import ServiceKit
import Testing

@testable import OBSBridge

@Suite struct PlacementDraftTests {
    private static let names = ["x", "y", "width", "height", "scaleX", "scaleY", "rotation"]

    @Test func `what is named is put, and the rest stays`() throws {
        var config = PlacementConfig(x: 5, y: 6, width: 640, height: 360, scaleX: 2, rotation: 10)
        try PlacementDraft(["x": -1.5, "scaleY": 3, "visible": false, "other": "x", "zIndex": []]).apply(to: &config)
        #expect(
            config
                == PlacementConfig(
                    x: -1.5, y: 6, width: 640, height: 360, scaleX: 2, scaleY: 3, rotation: 10, visible: false))
    }

    @Test func `every field reaches its own place`() throws {
        var config = PlacementConfig(width: 640, height: 360)
        try PlacementDraft([
            "x": 1, "y": 2, "width": 3, "height": 4, "scaleX": 5, "scaleY": 6, "rotation": 7, "visible": true,
        ]).apply(to: &config)
        #expect(config == PlacementConfig(x: 1, y: 2, width: 3, height: 4, scaleX: 5, scaleY: 6, rotation: 7))
    }

    @Test func `one that names nothing is empty`() throws {
        #expect(try PlacementDraft([:]).isEmpty)
        #expect(try PlacementDraft(["sourceId": "source-1", "id": 7]).isEmpty)
        #expect(try !PlacementDraft(["visible": true]).isEmpty)
        for name in Self.names { #expect(try !PlacementDraft([name: 1]).isEmpty) }
    }

    @Test(
        arguments: [
            ("x", -90_001, 90_001), ("y", -90_001, 90_001), ("width", 1, 7680), ("height", 1, 4320),
            ("scaleX", 0.1, 10), ("scaleY", 0.1, 10), ("rotation", 0, 360),
        ])
    func `a field has its limits`(name: String, lowest: Double, highest: Double) throws {
        for value in [lowest, highest] {
            #expect(throws: Never.self) { try PlacementDraft([name: .number(value)]) }
        }
        for value in [lowest - 0.001, highest + 0.001] {
            let failure = #expect(throws: APIFailure.self) { try PlacementDraft([name: .number(value)]) }
            #expect(failure?.status == .badRequest)
            #expect(failure?.message.hasPrefix("Invalid configuration: \(name) must be a number between") == true)
        }
    }

    @Test(
        arguments: [
            ("x", "1"), ("x", nil), ("width", true), ("rotation", [1]), ("scaleX", .number(.nan)),
            ("height", .number(.infinity)), ("visible", 1), ("visible", "true"), ("visible", nil), ("visible", [:]),
        ] as [(String, JSON)])
    func `what is no value of a field is refused`(name: String, value: JSON) {
        let failure = #expect(throws: APIFailure.self) { try PlacementDraft([name: value]) }
        #expect(failure?.status == .badRequest)
        #expect(failure?.message.hasPrefix("Invalid configuration: \(name) ") == true)
    }
}
