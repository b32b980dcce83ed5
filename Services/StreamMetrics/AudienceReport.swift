import Database
import Events

/// Who watched a stream within a range of time (contract wave §10).
struct AudienceReport: Sendable {
    struct Share: Sendable, Hashable {
        /// `nil`: not known.
        var name: String?
        var views: Int64
        var seconds: Double

        fileprivate func json(as member: String) -> JSON {
            [member: JSON(self.name), "views": .integer(self.views), "minutes_watched": .number(self.seconds.minutes)]
        }
    }

    let stream: String
    let start: Timestamp
    let end: Timestamp
    let peak: Int64
    private(set) var total = Share(name: nil, views: 0, seconds: 0)
    private(set) var byCountry: [Share] = []
    private(set) var byDevice: [Share] = []

    /// - Parameter groups: rows of `grouping(country, device)`, `country`, `device`, `views`, `seconds`.
    init(stream: String, start: Timestamp, end: Timestamp, groups: [Row], peak: Int64) throws(DatabaseError) {
        self.stream = stream
        self.start = start
        self.end = end
        self.peak = peak
        for row in groups {
            let (views, seconds): (Int64, Double) = (try row.decode("views"), try row.decode("seconds"))
            // A bit is set for what a row is not grouped by.
            switch try row.decode("grouping", as: Int.self) {
            case 0b01: self.byCountry.append(.init(name: try row.decode("country"), views: views, seconds: seconds))
            case 0b10: self.byDevice.append(.init(name: try row.decode("device"), views: views, seconds: seconds))
            default: self.total = .init(name: nil, views: views, seconds: seconds)
            }
        }
    }

    var json: JSON {
        let average = self.total.views > 0 ? self.total.seconds / Double(self.total.views) : 0
        return [
            "stream_id": .string(self.stream), "start": .string(self.start.iso8601), "end": .string(self.end.iso8601),
            "metrics": [
                "total_views": .integer(self.total.views), "peak_concurrent_viewers": .integer(self.peak),
                "avg_watch_time_minutes": .number(average.minutes),
                "total_minutes_watched": .number(self.total.seconds.minutes),
            ],
            "by_country": .array(self.byCountry.map { $0.json(as: "country") }),
            "by_device": .array(self.byDevice.map { $0.json(as: "device") }),
        ]
    }
}

extension Double {
    /// Of seconds, to a hundredth.
    fileprivate var minutes: Double { (self / 60 * 100).rounded() / 100 }
}
