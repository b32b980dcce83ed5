import Configuration
import ServiceKit

/// | key | type | default | |
/// | --- | --- | --- | --- |
/// | `camera-events.detections.retentionDays` | int | 30 | how long detections are kept, 1 to 3650 |
struct CameraEventsConfig {
    let detectionRetention: Duration

    init(_ config: ConfigReader) throws {
        let days = config.int(forKey: "camera-events.detections.retentionDays", default: 30)
        guard (1...3650).contains(days) else {
            throw ConfigurationError(key: "camera-events.detections.retentionDays", problem: "must be from 1 to 3650")
        }
        self.detectionRetention = .seconds(days * 86_400)
    }
}
