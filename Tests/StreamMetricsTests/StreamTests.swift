import Configuration
import Events
import ServiceKit
import Testing

@testable import StreamMetrics

@Suite struct StreamTests {
    @Test(arguments: [
        (Stream.Status.idle, true, false, true, true, false), (.live, false, true, false, true, true),
        (.ended, false, false, true, false, false), (.error, false, false, true, true, false),
    ])
    func `each status allows what it allows`(
        status: Stream.Status, start: Bool, stop: Bool, change: Bool, chat: Bool, reactions: Bool
    ) {
        #expect(status.canStart == start)
        #expect(status.canStop == stop)
        #expect(status.canChange == change)
        #expect(status.takesChat == chat)
        #expect(status.takesReactions == reactions)
    }

    @Test func `an id is stream_ and a lower-case ULID`() {
        #expect(Stream.isID(Stream.newID(at: .now)))
        for text in [
            "", "stream_", "stream_\0", Stream.newID(at: .now).uppercased(), "stream_\(ULID())",
            "x\(Stream.newID(at: .now))",
        ] {
            #expect(!Stream.isID(text))
        }
    }

    @Test func `media addresses are what is configured, and null where nothing is`() throws {
        let config = try StreamMetricsConfig(
            ConfigReader(
                provider: InMemoryProvider(values: ["stream-metrics.ingest.webrtc": "https://m.example/{id}/whip"])))
        let webrtc = Stream(try StreamDraft(["title": "a", "protocol": "webrtc"]), tenant: "t", at: .now)
        let json = webrtc.json(config.media)
        #expect(json["ingest"] == ["webrtc": ["whip_url": .string("https://m.example/\(webrtc.id)/whip")]])
        #expect(json["playback"] == .some(.null))
        let rtmp = Stream(try StreamDraft(["title": "a", "protocol": "rtmp"]), tenant: "t", at: .now)
        #expect(rtmp.json(config.media)["ingest"] == .some(.null))
    }

    @Test(arguments: ["https://m.example/whip", "{id}"])
    func `a media address without a place for the id, or without a scheme, is refused`(template: String) {
        let values: [AbsoluteConfigKey: ConfigValue] = ["stream-metrics.playback.hls": .init(stringLiteral: template)]
        let reader = ConfigReader(provider: InMemoryProvider(values: values))
        #expect(throws: ConfigurationError.self) { try StreamMetricsConfig(reader) }
    }
}
