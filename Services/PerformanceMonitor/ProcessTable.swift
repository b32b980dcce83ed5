import Events

/// What every process said of itself last, and when.
struct ProcessTable {
    struct Key: Hashable {
        var process: ServiceName
        var instance: String
    }

    struct Entry {
        var report: ReportProcess
        var heard: ContinuousClock.Instant

        func isLive(at now: ContinuousClock.Instant) -> Bool { now - self.heard <= ProcessTable.silenceMax }
    }

    /// Requests to the HTTP APIs of all processes, since they were first heard of.
    struct Requests: Equatable {
        var count = 0.0
        var seconds = 0.0

        /// Milliseconds a request since an earlier moment; 0 when there was none.
        func averageMilliseconds(since earlier: Requests) -> Double {
            let count = self.count - earlier.count
            return count > 0 ? 1000 * (self.seconds - earlier.seconds) / count : 0
        }
    }

    private(set) var entries: [Key: Entry] = [:]
    private(set) var requests = Requests()

    /// A process reports every two seconds; one that misses three in a row is down.
    static let silenceMax = Duration.seconds(6)
    /// A replica that was taken away is missed for so long.
    static let forgetAfter = Duration.seconds(60)

    mutating func hear(_ report: ReportProcess, at now: ContinuousClock.Instant) {
        let key = Key(process: report.process, instance: report.instance)
        if let old = self.entries[key]?.report {
            // One that was restarted counts from nothing again.
            let isSame = old.pid == report.pid
            self.requests.count += max(0, report.requests - (isSame ? old.requests : 0))
            self.requests.seconds += max(0, report.requestSeconds - (isSame ? old.requestSeconds : 0))
        }
        self.entries[key] = Entry(report: report, heard: now)
    }

    /// Drops those not heard of for a minute.
    mutating func forget(at now: ContinuousClock.Instant) {
        self.entries = self.entries.filter { now - $0.value.heard <= Self.forgetAfter }
    }

    func entries(of process: ServiceName) -> [Entry] {
        self.entries.filter { $0.key.process == process }.map(\.value).sorted {
            $0.report.instance < $1.report.instance
        }
    }

    func live(_ process: ServiceName, at now: ContinuousClock.Instant) -> [Entry] {
        self.entries(of: process).filter { $0.isLive(at: now) }
    }

    /// The sum of a gauge over a process's live replicas; `nil` when none of them gives it.
    func gauge(_ name: String, of process: ServiceName, at now: ContinuousClock.Instant) -> Double? {
        let values = self.live(process, at: now).compactMap { $0.report.gauges[name] }
        return values.isEmpty ? nil : values.reduce(0, +)
    }
}

extension ReportProcess {
    fileprivate var requests: Double { self.gauges["http.requests"] ?? 0 }
    fileprivate var requestSeconds: Double { self.gauges["http.seconds"] ?? 0 }
}
