import Configuration
import FoundationEssentials
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `stream-metrics.ingest.webrtc`, `….rtmp`, `….srt`, `….ndi` | string | none | where a stream's media comes in, with `{id}` in it |
/// | `stream-metrics.playback.hls` | string | none | where it can be watched, with `{id}` in it |
/// | `stream-metrics.media.servers.file` | path | none | a JSON list of media servers, see docs/streams.md |
/// | `stream-metrics.media.graceSeconds` | int | 10 | how long a live stream waits for an encoder that has gone, 0 to 600 |
/// | `stream-metrics.media.unknownSeconds` | int | 300 | how long a media server may not answer until its streams end, 30 to 86400 |
/// | `stream-metrics.countries.file` | path | none | a database of MaxMind's format that says which country an address is in |
/// | `stream-metrics.chat.retentionDays` | int | 30 | how long chat lines are kept, 1 to 3650 |
struct StreamMetricsConfig {
    let media: MediaEndpoints
    let chatRetention: Duration
    let servers: [MediaServer]
    let grace: Duration
    let unknownMax: Duration
    let countries: Countries?

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
        func number(_ key: String, _ value: Int, _ range: ClosedRange<Int>) throws -> Int {
            let number = config.int(forKey: ConfigKey(key), default: value)
            guard range.contains(number) else {
                throw ConfigurationError(
                    key: key, problem: "must be from \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
        self.chatRetention = .seconds(86_400 * (try number("stream-metrics.chat.retentionDays", 30, 1...3650)))
        self.grace = .seconds(try number("stream-metrics.media.graceSeconds", 10, 0...600))
        self.unknownMax = .seconds(try number("stream-metrics.media.unknownSeconds", 300, 30...86_400))
        self.servers =
            try config.string(forKey: ConfigKey(MediaServer.fileKey)).map {
                try MediaServer.read(Self.bytes(of: $0, key: MediaServer.fileKey))
            } ?? []
        let countriesKey = "stream-metrics.countries.file"
        self.countries = try config.string(forKey: ConfigKey(countriesKey)).map { path in
            guard let countries = Countries(try Self.bytes(of: path, key: countriesKey)) else {
                throw ConfigurationError(key: countriesKey, problem: "is not a database of MaxMind's format: \(path)")
            }
            return countries
        }
    }

    private static func bytes(of path: String, key: String) throws -> [UInt8] {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else {
            // `try?`: whatever the reason, the operator needs the key and the path.
            throw ConfigurationError(key: key, problem: "names a file that cannot be read: \(path)")
        }
        return Array(data)
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
