import Configuration
import Crypto
import FoundationEssentials
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `obs-bridge.rate.limit` | int | 100 | requests that one address may send to `/api` in a window; 0: any number |
/// | `obs-bridge.rate.window` | int | 900 | the window, in seconds |
/// | `obs-bridge.rate.loopback` | bool | false | whether addresses of this machine are limited too |
/// | `obs-bridge.secrets.key.file` | path | required | 64 hexadecimal digits: the key that passwords of OBS connections are sealed with |
/// | `obs-bridge.certificates.file` | path | none | certificates in PEM that are trusted besides the system's, for `wss` |
/// | `obs-bridge.public.url` | string | `http://<http.host>:<port>` | where OBS reaches the bridge, for the pages of sources with a script; https, unless its host is a loopback address |
/// | `obs-bridge.insecure` | bool | false | whether `obs-bridge.public.url` may be http elsewhere |
/// | `obs-bridge.samples.interval` | int | 30 | seconds between two samples of an active source, 5 to 3600 |
/// | `obs-bridge.samples.retentionDays` | int | 7 | days that samples are kept, 1 to 3650 |
/// | `obs-bridge.audit.retentionDays` | int | 365 | days that the audit log of commands is kept, 1 to 3650 |
struct OBSBridgeConfig {
    var rateLimit: RateLimit
    let secretsKey: SymmetricKey
    let certificates: String?
    let publicURL: String
    let samplesInterval: Duration
    let samplesRetention: Duration
    let auditRetention: Duration

    init(_ config: ConfigReader) throws {
        let requests = config.int(forKey: "obs-bridge.rate.limit", default: 100)
        guard (0...1_000_000).contains(requests) else {
            throw ConfigurationError(key: "obs-bridge.rate.limit", problem: "must be from 0 to 1000000")
        }
        let window = config.int(forKey: "obs-bridge.rate.window", default: 900)
        guard (1...86_400).contains(window) else {
            throw ConfigurationError(key: "obs-bridge.rate.window", problem: "must be from 1 to 86400 seconds")
        }
        self.rateLimit = RateLimit(
            requests: requests, window: .seconds(window),
            includesLoopback: config.bool(forKey: "obs-bridge.rate.loopback", default: false))
        self.secretsKey = SymmetricKey(data: try config.sealingKey(forKey: "obs-bridge.secrets.key.file"))
        self.certificates = config.string(forKey: "obs-bridge.certificates.file")
        if let path = self.certificates, !FileManager.default.isReadableFile(atPath: path) {
            throw ConfigurationError(
                key: "obs-bridge.certificates.file", problem: "names a file that cannot be read: \(path)")
        }
        let http = try HTTPConfig(config, service: "obs-bridge", offset: 30)
        let host = http.host.contains(":") ? "[\(http.host)]" : http.host
        let publicURL = try config.publicURL(
            forKey: "obs-bridge.public.url", default: "http://\(host):\(http.port)",
            isInsecureAllowed: config.bool(forKey: "obs-bridge.insecure", default: false),
            insecureKey: "obs-bridge.insecure")
        self.publicURL = publicURL.hasSuffix("/") ? String(publicURL.dropLast()) : publicURL
        self.samplesInterval = .seconds(try Self.number(config, "obs-bridge.samples.interval", 30, 5...3600))
        self.samplesRetention = .seconds(
            86_400 * (try Self.number(config, "obs-bridge.samples.retentionDays", 7, 1...3650)))
        self.auditRetention = .seconds(
            86_400 * (try Self.number(config, "obs-bridge.audit.retentionDays", 365, 1...3650)))
    }

    private static func number(
        _ config: ConfigReader, _ key: String, _ value: Int, _ range: ClosedRange<Int>
    ) throws -> Int {
        let number = config.int(forKey: ConfigKey(key), default: value)
        guard range.contains(number) else {
            throw ConfigurationError(key: key, problem: "must be from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }
}
