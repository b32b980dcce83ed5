import Configuration
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `radio.history.retention.days` | int | 90 | how long the play history keeps what has ended, 1 to 3650 |
struct RadioPlayoutConfig {
    let historyRetention: Duration

    init(_ config: ConfigReader) throws {
        let days = config.int(forKey: "radio.history.retention.days", default: 90)
        guard (1...3650).contains(days) else {
            throw ConfigurationError(key: "radio.history.retention.days", problem: "must be from 1 to 3650")
        }
        self.historyRetention = .seconds(days * 86_400)
    }
}
