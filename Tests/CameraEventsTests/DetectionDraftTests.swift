import Events
import HTTPTypes
import ServiceKit
import Testing

@testable import CameraEvents

@Suite struct DetectionDraftTests {
    private static let full: [String: JSON] = [
        "timestamp": 1_645_678_900, "confidence": 0.97,
        "bounding_box": ["x": 120, "y": 80, "width": 64, "height": 64.5],
        "frame": ["width": 1920, "height": 1080], "person": ["id": "p1", "name": "Ana", "score": 0.9],
        "snapshot_url": "https://example.org/1.jpg",
    ]

    private func draft(_ body: [String: JSON]) throws(APIFailure) -> DetectionDraft {
        try DetectionDraft(.object(body), camera: "cam_1", now: Timestamp(milliseconds: 5_999))
    }

    @Test func `a whole detection becomes the event that the contract shows`() throws {
        let event = try self.draft(Self.full).payload(camera: "cam_1")
        var expected = Self.full
        expected["camera_id"] = "cam_1"
        expected["detection_id"] = .string(event.detectionID)
        #expect(JSON(parsing: JSON.encode(event)) == .object(expected))
        #expect(event.detectionID.hasPrefix("det_"))
    }

    @Test func `what is not said is null and happened now`() throws {
        let event = try self.draft([
            "confidence": 1, "bounding_box": ["x": 0, "y": 0, "width": 1, "height": 1], "person": nil,
        ])
        .payload(camera: "cam_1")
        let data = try #require(JSON(parsing: JSON.encode(event))?.object)
        #expect(data["timestamp"] == 5)
        for member in ["frame", "person", "snapshot_url"] { #expect(data[member] == .some(.null)) }
    }

    @Test func `a box may touch the edge of the frame`() throws {
        var body = Self.full
        body["bounding_box"] = ["x": 1900, "y": 1000, "width": 20, "height": 80]
        #expect(throws: Never.self) { try self.draft(body) }
    }

    @Test(
        arguments: [
            ("confidence", nil), ("confidence", -0.01), ("confidence", 1.01), ("confidence", "1"),
            ("bounding_box", nil),
            ("bounding_box", []), ("bounding_box", ["x": 0, "y": 0, "width": 1]),
            ("bounding_box", ["x": -1, "y": 0, "width": 1, "height": 1]),
            ("bounding_box", ["x": 0, "y": 0, "width": 0, "height": 1]),
            ("bounding_box", ["x": 1900, "y": 0, "width": 21, "height": 1]),
            ("bounding_box", ["x": 0, "y": 1080, "width": 1, "height": 1]), ("frame", ["width": 0, "height": 1080]),
            ("frame", ["width": 1920]), ("frame", 1), ("person", "Ana"), ("person", ["id": "p1"]),
            ("person", ["id": "", "name": "Ana", "score": 0.9]), ("person", ["id": "p1", "name": "Ana", "score": 2]),
            ("person", ["id": "p1", "name": "A\u{0}", "score": 1]), ("snapshot_url", "ftp://example.org/"),
            ("snapshot_url", "https://u:p@example.org/"), ("snapshot_url", "/1.jpg"), ("snapshot_url", 1),
            ("timestamp", -1),
            ("timestamp", 1.5), ("timestamp", "2025-01-01T00:00:00Z"), ("timestamp", 1_645_678_900_000),
            ("camera_id", "cam_2"),
        ] as [(String, JSON)])
    func `a member that is not valid is refused by name`(member: String, value: JSON) throws {
        var body = Self.full
        body[member] = value
        let failure = #expect(throws: APIFailure.self) { try self.draft(body) }
        #expect(failure?.status == .badRequest)
        #expect(failure?.message.hasPrefix(member) == true)
    }

    @Test(arguments: [.null, .string("x"), .array([]), 1] as [JSON]) func `a detection is an object`(value: JSON) {
        #expect(throws: APIFailure.self) { try DetectionDraft(value, camera: "cam_1", now: .now) }
    }
}
