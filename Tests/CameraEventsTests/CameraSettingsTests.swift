import Events
import ServiceKit
import Testing

@testable import CameraEvents

@Suite struct CameraSettingsTests {
    @Test func `settings are read and written as the contract names them`() throws {
        let json: JSON = [
            "adaptive_bitrate": true, "bitrate_kbps": 64, "width": 7680, "height": 4320, "frame_rate": 29.97,
        ]
        #expect(try CameraSettings(json).json == json)
        #expect(try CameraSettings([:]).isEmpty)
    }

    @Test(
        arguments: [
            [], "x", ["bitrate": 100], ["bitrate_kbps": 63], ["bitrate_kbps": 50_001], ["width": 15], ["width": 7681],
            ["width": 640.5],
            ["height": 4321], ["frame_rate": 0.5], ["frame_rate": 121], ["adaptive_bitrate": 1], ["width": "640"],
        ] as [JSON])
    func `settings out of range are refused`(json: JSON) {
        let failure = #expect(throws: APIFailure.self) { try CameraSettings(json) }
        #expect(failure?.code == "INVALID_SETTINGS")
    }
}
