import Events
import Testing

@testable import Dialects

@Suite struct AirysTests {
    private let dialect = Airys()

    @Test func `an event looks as in the contract, with an id`() throws {
        let sample = try fixtureJSON(.airys, "face-detected")
        let event = Event.sample("camera.face_detected", room: "cam_123", data: try #require(sample["data"]))
        let frames = delivered(self.dialect.project(event), holding: [filterKey("face_detected", "*")])
        #expect(frames.map { $0.without("id") } == [sample])
        #expect(frames.first?["id"] == .string(event.id.text))
    }

    @Test(arguments: [
        (("face_detected", "cam_1"), true), (("face_detected", "*"), true), (("*", "cam_1"), true), (("*", "*"), true),
        (("face_detected", "cam_2"), false), (("metrics", "*"), false), (("*", "cam_2"), false),
    ])
    func `an event answers to its type and camera, or to all of either`(key: (String, String), isHeard: Bool) {
        let projections = self.dialect.project(.sample("camera.face_detected", room: "cam_1"))
        #expect(delivered(projections, holding: [filterKey(key.0, key.1)]).count == (isHeard ? 1 : 0))
    }

    @Test(
        arguments: [
            ("system.statusChange", ["currentStatus": "healthy"], "online"),
            ("system.statusChange", ["currentStatus": "degraded"], "degraded"),
            ("system.statusChange", ["currentStatus": "unhealthy"], "offline"),
            ("system.statusChange", [:], "degraded"),
            ("system.maintenanceMode", ["enabled": true], "maintenance"),
            ("system.maintenanceMode", ["enabled": false], "online"),
        ] as [(EventType, JSON, String)])
    func `a change of the system's status has Airys' own words and seconds`(type: EventType, data: JSON, status: String)
        throws
    {
        let time = Timestamp(milliseconds: 1_645_678_900_999)
        let frames = delivered(self.dialect.project(.sample(type, data: data, time: time)), holding: ["system"])
        var expected = try fixtureJSON(.airys, "system-status").object
        expected?["data"] = ["status": .string(status), "timestamp": 1_645_678_900]
        #expect(frames.map { $0.without("id") } == [expected.map(JSON.object)])
    }

    @Test func `other events of the system are no status`() {
        #expect(delivered(self.dialect.project(.sample("system.error")), holding: ["system"]).isEmpty)
    }

    @Test func `the limits are the contract's`() {
        let profile = self.dialect.profile
        #expect(profile.messageBytesMax(isLoggedIn: false) == 8192)
        #expect(profile.messageBytesMax(isLoggedIn: true) == 1_048_576)
        #expect(profile.messageRate == RateLimit(burst: 100, perSecond: 50))
        #expect(profile.drainRefusal.status == 503)
    }
}
