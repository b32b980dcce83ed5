public import CoreMetrics
import NIOConcurrencyHelpers

/// Keeps the process's metrics and prints them in Prometheus' text format 0.0.4. A timer becomes a histogram in seconds.
public final class PrometheusRegistry: MetricsFactory {
    private struct Key: Hashable {
        let label: String
        let dimensions: [String]
    }

    private struct Series {
        let labels: String
        let value: any PrometheusValue
    }

    private let series = NIOLockedValueBox<[Key: Series]>([:])

    public init() {}

    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        self.series(label, dimensions) { PrometheusCounter() }
    }

    public func makeFloatingPointCounter(label: String, dimensions: [(String, String)])
        -> any FloatingPointCounterHandler
    {
        self.series(label, dimensions) { PrometheusFloatingPointCounter() }
    }

    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        self.series(label, dimensions) { PrometheusGauge() }
    }

    public func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        if aggregate {
            return self.series(label, dimensions) { PrometheusHistogram(buckets: PrometheusHistogram.powers) }
        }
        return self.series(label, dimensions) { PrometheusGauge() }
    }

    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        self.series(label, dimensions) { PrometheusHistogram(buckets: PrometheusHistogram.seconds) }
    }

    // Series live as long as the process: a scrape must not lose what was counted.
    public func destroyCounter(_ handler: any CounterHandler) {}
    public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    public func destroyMeter(_ handler: any MeterHandler) {}
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    public func destroyTimer(_ handler: any TimerHandler) {}

    /// All series, grouped by name.
    public var text: String {
        let all = self.series.withLockedValue { $0 }
        let byName = Dictionary(grouping: all) { $0.key.label }
        var text = ""
        for (name, group) in byName.sorted(by: { $0.key < $1.key }) {
            guard let kind = group.first?.value.value.kind else { continue }
            text += "# TYPE \(name) \(kind)\n"
            for (_, series) in group.sorted(by: { $0.value.labels < $1.value.labels }) {
                text += series.value.lines(name: name, labels: series.labels)
            }
        }
        return text
    }

    private func series<Value: PrometheusValue>(
        _ label: String, _ dimensions: [(String, String)], _ make: () -> Value
    ) -> Value {
        let sorted = dimensions.sorted { $0 < $1 }
        let key = Key(label: label, dimensions: sorted.flatMap { [$0.0, $0.1] })
        return self.series.withLockedValue { all in
            if let known = all[key]?.value as? Value { return known }
            let value = make()
            let labels = sorted.map { "\($0.0)=\"\(Self.escape($0.1))\"" }.joined(separator: ",")
            all[key] = Series(labels: labels, value: value)
            return value
        }
    }

    private static func escape(_ value: String) -> String {
        // By scalars: a carriage return and a line feed together are one character.
        var escaped = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// One series' value.
protocol PrometheusValue: AnyObject, Sendable {
    var kind: String { get }
    func lines(name: String, labels: String) -> String
}

extension PrometheusValue {
    func line(_ name: String, _ labels: String, _ value: String) -> String {
        labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
    }
}

final class PrometheusCounter: PrometheusValue, CounterHandler {
    private let value = NIOLockedValueBox<Int64>(0)
    var kind: String { "counter" }
    func increment(by amount: Int64) {
        self.value.withLockedValue { value in
            let (sum, hasOverflow) = value.addingReportingOverflow(amount)
            value = hasOverflow ? .max : sum
        }
    }
    func reset() { self.value.withLockedValue { $0 = 0 } }
    func lines(name: String, labels: String) -> String {
        self.line(name, labels, "\(self.value.withLockedValue { $0 })")
    }
}

final class PrometheusFloatingPointCounter: PrometheusValue, FloatingPointCounterHandler {
    private let value = NIOLockedValueBox<Double>(0)
    var kind: String { "counter" }
    func increment(by amount: Double) { self.value.withLockedValue { $0 += amount } }
    func reset() { self.value.withLockedValue { $0 = 0 } }
    func lines(name: String, labels: String) -> String {
        self.line(name, labels, "\(self.value.withLockedValue { $0 })")
    }
}

final class PrometheusGauge: PrometheusValue, MeterHandler, RecorderHandler {
    private let value = NIOLockedValueBox<Double>(0)
    var kind: String { "gauge" }
    func set(_ value: Int64) { self.set(Double(value)) }
    func set(_ value: Double) { self.value.withLockedValue { $0 = value } }
    func increment(by amount: Double) { self.value.withLockedValue { $0 += amount } }
    func decrement(by amount: Double) { self.value.withLockedValue { $0 -= amount } }
    func record(_ value: Int64) { self.set(Double(value)) }
    func record(_ value: Double) { self.set(value) }
    func lines(name: String, labels: String) -> String {
        self.line(name, labels, "\(self.value.withLockedValue { $0 })")
    }
}

final class PrometheusHistogram: PrometheusValue, TimerHandler, RecorderHandler {
    /// Upper bounds in seconds, from what a bus hop costs to what a timeout allows.
    static let seconds = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    /// Upper bounds for counts and sizes.
    static let powers: [Double] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000, 1_000_000]

    private struct State {
        var counts: [Int64]
        var sum = 0.0
    }

    private let buckets: [Double]
    private let state: NIOLockedValueBox<State>
    var kind: String { "histogram" }

    init(buckets: [Double]) {
        self.buckets = buckets
        self.state = NIOLockedValueBox(State(counts: Array(repeating: 0, count: buckets.count + 1)))
    }

    func record(_ value: Int64) { self.record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { self.record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        let index = self.buckets.firstIndex { value <= $0 } ?? self.buckets.count
        self.state.withLockedValue {
            $0.counts[index] += 1
            $0.sum += value
        }
    }

    func lines(name: String, labels: String) -> String {
        let state = self.state.withLockedValue { $0 }
        let prefix = labels.isEmpty ? "" : labels + ","
        var lines = ""
        var total: Int64 = 0
        for (count, bound) in zip(state.counts, self.buckets.map { "\($0)" } + ["+Inf"]) {
            total += count
            lines += self.line("\(name)_bucket", "\(prefix)le=\"\(bound)\"", "\(total)")
        }
        return lines + self.line("\(name)_sum", labels, "\(state.sum)") + self.line("\(name)_count", labels, "\(total)")
    }
}
