import Configuration
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `performance-monitor.interval` | int | 30 | seconds between two `performance.update`, 1 to 3600 |
/// | `performance-monitor.grace` | int | 10 | seconds after the start in which health is not judged, 0 to 600 |
/// | `performance-monitor.environment` | string | `production` | what `/api/health` calls this installation |
/// | `performance-monitor.server.url` | string | `http://localhost:<ports.base>` | where clients reach Source Saver's API |
struct PerformanceMonitorConfig {
    var interval: Duration
    var grace: Duration
    var environment: String
    var serverURL: String
    /// Of Source Saver's listener.
    var edgePort: Int

    init(_ config: ConfigReader) throws {
        func seconds(_ key: String, _ range: ClosedRange<Int>, default value: Int) throws -> Duration {
            let value = config.int(forKey: ConfigKey(key), default: value)
            guard range.contains(value) else {
                throw ConfigurationError(
                    key: key, problem: "must be from \(range.lowerBound) to \(range.upperBound) seconds")
            }
            return .seconds(value)
        }
        self.interval = try seconds("performance-monitor.interval", 1...3600, default: 30)
        self.grace = try seconds("performance-monitor.grace", 0...600, default: 10)
        self.environment = config.string(forKey: "performance-monitor.environment", default: "production")
        self.edgePort = try config.portsBase()
        self.serverURL = config.string(
            forKey: "performance-monitor.server.url", default: "http://localhost:\(self.edgePort)")
    }
}
