import Events

extension Tier {
    /// Requests that a credential may send in a minute; twice as many at once (contract wave §7).
    var requestsPerMinute: Int {
        switch self {
        case .free: 60
        case .pro: 300
        case .enterprise: 1000
        }
    }

    /// How many streams of a tenant may be live at once (contract wave §7); `nil`: any number.
    var liveStreamsMax: Int? {
        switch self {
        case .free: 10
        case .pro: 50
        case .enterprise: nil
        }
    }
}
