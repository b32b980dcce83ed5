import Configuration
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `stream-metrics.ingest.webrtc`, `….rtmp`, `….srt`, `….ndi` | string | none | where a stream's media comes in, with `{id}` in it |
/// | `stream-metrics.playback.hls` | string | none | where it can be watched, with `{id}` in it |
/// | `stream-metrics.chat.retentionDays` | int | 30 | how long chat lines are kept, 1 to 3650 |
struct StreamMetricsConfig {
    let media: MediaEndpoints
    let chatRetention: Duration

    init(_ config: ConfigReader) throws {
        func template(_ key: String) throws -> String? {
            guard let template = config.string(forKey: ConfigKey(key)) else { return nil }
            guard template.contains("{id}"), template.contains("://") else {
                throw ConfigurationError(key: key, problem: "must be a URL with {id} in it")
            }
            return template
        }
        var ingest: [StreamProtocol: String] = [:]
        for name in StreamProtocol.allCases { ingest[name] = try template("stream-metrics.ingest.\(name.rawValue)") }
        self.media = MediaEndpoints(ingest: ingest, hls: try template("stream-metrics.playback.hls"))
        let days = config.int(forKey: "stream-metrics.chat.retentionDays", default: 30)
        guard (1...3650).contains(days) else {
            throw ConfigurationError(key: "stream-metrics.chat.retentionDays", problem: "must be from 1 to 3650")
        }
        self.chatRetention = .seconds(days * 86_400)
    }
}

/// Where the media of streams comes in and goes out: what is configured, and nothing else.
struct MediaEndpoints: Sendable {
    /// URLs with `{id}` in them.
    var ingest: [StreamProtocol: String] = [:]
    var hls: String?

    func ingestURL(of stream: String, _ name: StreamProtocol) -> String? {
        self.ingest[name]?.replacing("{id}", with: stream)
    }

    func hlsURL(of stream: String) -> String? { self.hls?.replacing("{id}", with: stream) }
}
