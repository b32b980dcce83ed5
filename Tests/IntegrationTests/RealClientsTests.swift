import Events
import Foundation
import TestSupport
import Testing

/// Clients that none of us wrote: the originals' own example code on Node's `ws`, with only address and credential changed.
@Suite("Real clients", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct RealClientsTests {
    /// A client in a process of its own; what it prints is one JSON value a line.
    final class NodeClient {
        private let process = Process()
        private let output: URL

        init(_ script: String, _ arguments: [String]) throws {
            let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Clients")
            self.output = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).out")
            try Data().write(to: self.output)
            self.process.executableURL = URL(filePath: "/usr/bin/env")
            self.process.arguments = ["node", folder.appending(path: script).path] + arguments
            self.process.environment = ProcessInfo.processInfo.environment.merging(["NODE_PATH": "/usr/share/nodejs"]) {
                $1
            }
            self.process.standardOutput = try FileHandle(forWritingTo: self.output)
            try self.process.run()
        }

        deinit {
            if self.process.isRunning { self.process.terminate() }
            try? FileManager.default.removeItem(at: self.output)
        }

        /// Waits for a line that fits.
        func line(_ what: String, where fits: (JSON) -> Bool) async throws {
            try await Suite.eventually(what, within: .seconds(20)) {
                let lines = (try? Data(contentsOf: self.output))?.split(separator: UInt8(ascii: "\n")) ?? []
                return lines.contains { JSON(parsing: Array($0)).map(fits) ?? false }
            }
        }
    }

    @Test func `the examples of the five originals get a real event each, on either gateway`() async throws {
        try await Suite.with(gateways: 2) { suite in
            let token = try await suite.token()
            let key = try await suite.token("apikey")
            func id(_ service: ServiceName, _ path: String, _ body: JSON) async throws -> String {
                try #require(try await suite.request("POST", service, path, body, token: token)["id"]?.string)
            }
            let stream = try await id(.streamMetrics, "/v1/streams", ["title": "Show", "protocol": "rtmp"])
            let station = try await id(.radioPlayout, "/api/v1/stations", ["name": "One"])
            let camera = try await id(
                .cameraEvents, "/v1/cameras", ["name": "Door", "source_url": "rtsp://192.0.2.1/s"])

            func address(_ dialect: Int, _ gateway: Int) -> String {
                "ws://localhost:\(suite.edgePort(dialect, gateway: gateway))"
            }
            var clients: [[NodeClient]] = []
            for gateway in 0...1 {
                clients.append([
                    try NodeClient("source-saver.js", [address(0, gateway)]),
                    try NodeClient("astro.js", [address(1, gateway), "default", token]),
                    try NodeClient("wave.js", ["\(address(2, gateway))/v1/streams", key, stream]),
                    try NodeClient("grimnir.js", ["\(address(3, gateway))/api/v1", token]),
                    try NodeClient("airys.js", ["\(address(4, gateway))/v1/stream", key]),
                ])
            }
            for five in clients {
                try await five[0].line("Source Saver subscribed") { $0["event"] == "subscription:confirmed" }
                try await five[1].line("Astro subscribed") {
                    $0["type"] == "response" && $0["error"] == Optional<JSON>.none
                }
                try await five[2].line("WAVE subscribed") { $0["type"] == "subscribed" }
                try await five[3].line("Grimnir connected") { $0["open"] == true }
                try await five[4].line("Airys authenticated") { $0["type"] == "auth_success" }
            }

            try await suite.request(
                "POST", .obsBridge, "/api/sources",
                ["name": "A", "url": "https://example.com", "width": 8, "height": 6])
            try await suite.request(
                "POST", .streamMetrics, "/kappa/v2/activities/default",
                ["type": "follow", "provider": "twitch", "data": ["username": "bob"]], token: token)
            try await suite.request("POST", .streamMetrics, "/v1/streams/\(stream)/start", token: token)
            try await suite.request(
                "POST", .radioPlayout, "/api/v1/webhooks/track-start",
                ["station_id": .string(station), "title": "Song"],
                token: token)
            try await suite.request(
                "POST", .cameraEvents, "/v1/cameras/\(camera)/detections",
                ["confidence": 0.9, "bounding_box": ["x": 1, "y": 2, "width": 3, "height": 4]], token: token)

            for five in clients {
                try await five[0].line("sources:create") { $0["event"] == "sources:create" }
                try await five[1].line("channel.activities") { $0["topic"] == "channel.activities" }
                try await five[2].line("stream.started") { $0["type"] == "stream.started" }
                try await five[2].line("a chat line") { $0["payload"]?["message"] == "hello from the stream" }
                try await five[3].line("now_playing") { $0["payload"]?["title"] == "Song" }
                try await five[4].line("face_detected") { $0["data"]?["camera_id"] == .string(camera) }
            }
        }
    }
}
