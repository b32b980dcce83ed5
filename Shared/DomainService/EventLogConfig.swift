import Configuration
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `events.retentionDays` | int | 7 | days that a service's event log is kept, 1 to 3650; a replay from before says so |
struct EventLogConfig {
    let retention: Duration

    init(_ config: ConfigReader) throws {
        let days = config.int(forKey: "events.retentionDays", default: 7)
        guard (1...3650).contains(days) else {
            throw ConfigurationError(key: "events.retentionDays", problem: "must be from 1 to 3650")
        }
        self.retention = .seconds(days * 86_400)
    }
}
