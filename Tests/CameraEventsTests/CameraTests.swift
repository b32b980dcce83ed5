import Events
import ServiceKit
import Testing

@testable import CameraEvents

@Suite struct CameraTests {
    @Test(arguments: [
        ("cam_01M7Z4948Z3DDSXTVMKX6AMZWS", true), ("cam_01m7z4948z3ddsxtvmkx6amzws", false), ("cam_123", false),
        ("", false),
        ("01M7Z4948Z3DDSXTVMKX6AMZWS", false), ("cam_01M7Z4948Z3DDSXTVMKX6AMZW\u{0}", false),
    ])
    func `an id is a ULID as we write it`(text: String, isID: Bool) { #expect(Camera.isID(text) == isID) }

    @Test func `a new id is one`() { #expect(Camera.isID(Camera.makeID())) }

    @Test(arguments: [
        ("rtsp://user:secret@10.0.0.1:554/live?token=secret", "rtsp://10.0.0.1:554/***"),
        ("RTMP://example.org/secret", "rtmp://example.org/***"), ("http://a@b@c", "http://c/***"),
        ("srt://[::1]:9000?passphrase=secret", "srt://[::1]:9000/***"),
    ])
    func `a masked address shows scheme and host alone`(url: String, masked: String) throws {
        #expect(try CameraDraft(["source_url": .string(url)]).sourceURL == url)
        #expect(WebAddress(url)?.masked == masked)
    }

    @Test(
        arguments: [
            ("name", 1), ("name", " "), ("name", .string(String(repeating: "n", count: 201))),
            ("source_url", "file:///etc/passwd"),
            ("source_url", "rtsp://"), ("source_url", "rtsp://a b"), ("source_url", "10.0.0.1"),
            ("source_url", "rtsp://:554/"),
            ("source_url", "rtsp://a\u{0}b"), ("location", 1), ("enabled", "true"), ("settings", []),
        ] as [(String, JSON)])
    func `a member that is not valid is refused by name`(member: String, value: JSON) {
        let failure = #expect(throws: APIFailure.self) { try CameraDraft([member: value]) }
        #expect(failure?.message.hasPrefix(member) == true)
    }

    @Test func `a location of null is cleared and a missing one is left`() throws {
        #expect(try CameraDraft(["location": nil]).setsLocation)
        #expect(try CameraDraft([:]).setsLocation == false)
    }
}
