import Configuration
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `obs-bridge.rate.limit` | int | 100 | requests that one address may send to `/api` in a window; 0: any number |
/// | `obs-bridge.rate.window` | int | 900 | the window, in seconds |
/// | `obs-bridge.rate.loopback` | bool | false | whether addresses of this machine are limited too |
struct OBSBridgeConfig {
    var rateLimit: RateLimit

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
    }
}
