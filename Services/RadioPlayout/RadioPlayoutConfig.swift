import Configuration
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `radio-playout.history.retentionDays` | int | 90 | how long the play history keeps what has ended, 1 to 3650 |
struct RadioPlayoutConfig {
    let historyRetention: Duration

    init(_ config: ConfigReader) throws {
        let days = config.int(forKey: "radio-playout.history.retentionDays", default: 90)
        guard (1...3650).contains(days) else {
            throw ConfigurationError(key: "radio-playout.history.retentionDays", problem: "must be from 1 to 3650")
        }
        self.historyRetention = .seconds(days * 86_400)
    }
}
