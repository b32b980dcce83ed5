import Events

/// Tells when a measurement crosses a threshold: once on the way up, and again only after it fell 5 points below.
struct Alert {
    let kind: PerformanceAlert.Kind
    let name: String
    let warning: Double
    let critical: Double
    private var level = Level.normal

    private enum Level: Int, Comparable {
        case normal, warning, critical
        static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    private static let hysteresis = 5.0

    init(_ kind: PerformanceAlert.Kind, name: String, warning: Double, critical: Double) {
        self.kind = kind
        self.name = name
        self.warning = warning
        self.critical = critical
    }

    /// - Parameter value: in per cent.
    mutating func observe(_ value: Double) -> PerformanceAlert? {
        let reached = self.level(of: value)
        if reached > self.level {
            self.level = reached
            let threshold = reached == .critical ? self.critical : self.warning
            return PerformanceAlert(
                type: self.kind, value: value, threshold: threshold,
                severity: reached == .critical ? .critical : .warning,
                source: "system", message: "\(self.name) usage is \(value) %, over the threshold of \(threshold) %")
        }
        self.level = min(self.level, self.level(of: value + Self.hysteresis))
        return nil
    }

    private func level(of value: Double) -> Level {
        value >= self.critical ? .critical : value >= self.warning ? .warning : .normal
    }
}
