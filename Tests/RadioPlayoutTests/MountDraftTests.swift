import Events
import ServiceKit
import Testing

@testable import RadioPlayout

@Suite struct MountDraftTests {
    private static let full: [String: JSON] = ["name": "hq", "url": "https://example.org/hq", "format": "ogg"]

    @Test func `what is not said has the default mount's value`() throws {
        #expect(try MountDraft(Self.full) == MountDraft(name: "hq", url: "https://example.org/hq", format: "ogg"))
        #expect(
            MountDraft(defaultFor: "Radio Eins!")
                == MountDraft(
                    name: "radio-eins", url: "/radio-eins", format: "mp3", bitrate: 128, channels: 2, sampleRate: 44_100
                ))
        #expect(MountDraft(defaultFor: "ラジオ").name == "live")
    }

    @Test(arguments: ["name", "url", "format"]) func `name, address and format are required`(member: String) {
        var body = Self.full
        body[member] = nil
        #expect(throws: APIFailure.self) { try MountDraft(body) }
        body[member] = .null
        let failure = #expect(throws: APIFailure.self) { try MountDraft(body) }
        #expect(failure?.code == "missing_required_fields")
    }

    @Test(arguments: [
        ("url", "hq"), ("url", "http://"), ("url", "http:///path"), ("url", "https://user:pw@example.org/"),
        ("url", "/a b"),
        ("url", "icecast://example.org"), ("format", "wav"), ("format", "MP3"), ("name", ""),
    ])
    func `a text that is not valid is named`(member: String, value: String) {
        var body = Self.full
        body[member] = .string(value)
        let failure = #expect(throws: APIFailure.self) { try MountDraft(body) }
        #expect(failure.map(RadioErrorShape.code) == "invalid_\(member)")
    }

    @Test(
        arguments: [
            ("bitrate_kbps", 7), ("bitrate_kbps", 5001), ("bitrate_kbps", 128.5), ("bitrate_kbps", "128"),
            ("channels", 0),
            ("channels", 9), ("sample_rate", 7999), ("sample_rate", 1e300), ("encoder_preset", 1),
        ] as [(String, JSON)])
    func `a value out of range is named`(member: String, value: JSON) {
        var body = Self.full
        body[member] = value
        let failure = #expect(throws: APIFailure.self) { try MountDraft(body) }
        #expect(failure.map(RadioErrorShape.code) == "invalid_\(member)")
    }
}
