import Events
import Testing

@testable import OBSBridge

@Suite struct SourceInputTests {
    @Test(
        arguments: [
            ("browser_source", nil, ["image_source", "browser_source"], "browser_source"),
            ("color_source", nil, ["color_source_v2", "color_source_v3"], "color_source_v3"),
            ("color_source", nil, ["color_source_v10", "color_source_v9"], "color_source_v10"),
            ("color_source", nil, ["color_source_v2", "color_source"], "color_source_v2"),
            // Another kind whose name begins alike.
            ("color", nil, ["color_video_v2", "color_v1"], "color_v1"), ("color", nil, ["color_video_v2"], nil),
            ("color_source_v2", nil, ["color_source_v2", "color_source_v3"], "color_source_v2"),
            ("text_ft2_source", nil, ["text_ft2_source_v2"], "text_ft2_source_v2"),
            ("color_source", nil, ["color_source_vx", "color_source_video", "my_color_source_v2"], nil),
            ("browser_source", nil, ["image_source"], nil), ("browser_source", nil, [], nil),
            ("browser_source", "color_source", ["color_source_v3"], "color_source_v3"),
            ("browser_source", "color_source", ["color_source_v3", "browser_source"], "browser_source"),
            ("browser_source", "image_source", ["color_source_v3"], nil),
        ] as [(String, String?, [String], String?)])
    func `the newest version of a kind is chosen, else the fallback`(
        wanted: String, fallback: String?, kinds: [String], chosen: String?
    ) {
        #expect(SourceInput(wanted, fallback: fallback, among: kinds)?.kind == chosen)
    }

    private static let clock = source(
        "source-1", name: "Clock", url: "https://a.example/b", width: 300, height: 200, css: "body{}")

    @Test(
        arguments: [
            (
                "browser_source",
                [
                    "url": "https://page.example/", "width": 300, "height": 200, "css": "body{}", "shutdown": true,
                ]
            ),
            ("ffmpeg_source", ["is_local_file": false, "input": "https://a.example/b"]),
            ("image_source", ["file": "https://a.example/b"]), ("color_source_v3", ["width": 300, "height": 200]),
            ("color_source", ["width": 300, "height": 200]), ("text_ft2_source_v2", ["text": "Clock"]),
            ("xshm_input", ["url": "https://a.example/b"]), ("color_source_video", ["url": "https://a.example/b"]),
        ] as [(String, [String: JSON])])
    func `a kind has its own settings, and each says whose it is`(kind: String, settings: [String: JSON]) {
        var expected = settings
        expected["crosspoint_source"] = "source-1"
        let input = SourceInput(existing: kind)
        #expect(input.kind == kind)
        #expect(input.settings(of: Self.clock, page: "https://page.example/") == .object(expected))
    }

    @Test(arguments: [("browser_source", true), ("browser_source_v2", true), ("image_source", false), ("", false)])
    func `only a browser has a page to load anew`(kind: String, isBrowser: Bool) {
        #expect(SourceInput(existing: kind).isBrowser == isBrowser)
    }
}
