import Events

/// How the suite is at one moment, and why.
struct Health: Sendable, Equatable {
    var status: HealthStatus
    var reason: String
    var checks: SystemStatusChange.Checks

    /// Memory is called high from here on, in per cent.
    static let memoryHigh = 90.0

    /// Judges what is known. Unhealthy: the database is away, or no gateway runs, so that no client gets anything. Degraded: a
    /// process is down or lacks something, an OBS that is to be connected is not, or memory is short.
    init(of processes: ProcessTable, memoryUsage: Double?, databaseIsReady: Bool, at now: ContinuousClock.Instant) {
        let isMemoryHigh = (memoryUsage ?? 0) >= Self.memoryHigh
        let gatewayRuns = !processes.live(.gateway, at: now).isEmpty
        var problems: [String] = []
        if !databaseIsReady { problems.append("the database is away") }
        for service in ServiceName.allCases { problems += Self.problems(of: service, processes, now) }
        let missing = processes.gauge("obs.missing", of: .obsBridge, at: now) ?? 0
        if missing > 0 {
            problems.append(
                missing == 1 ? "an OBS is not connected" : "\(Int(clamping: missing)) OBS are not connected")
        }
        if isMemoryHigh, let memoryUsage { problems.append("memory usage is \(Int(clamping: memoryUsage)) %") }
        self.status = !databaseIsReady || !gatewayRuns ? .unhealthy : problems.isEmpty ? .healthy : .degraded
        self.reason = problems.isEmpty ? "all services are ready" : problems.joined(separator: "; ")
        self.checks = .init(
            obsConnected: (processes.gauge("obs.connected", of: .obsBridge, at: now) ?? 0) > 0,
            sourceManagerInitialized: processes.live(.obsBridge, at: now).contains {
                $0.report.dependencies["database"] == true
            },
            memoryUsage: isMemoryHigh ? .high : .normal)
    }

    private static func problems(
        of service: ServiceName, _ processes: ProcessTable, _ now: ContinuousClock.Instant
    ) -> [String] {
        let entries = processes.entries(of: service)
        guard entries.contains(where: { $0.isLive(at: now) }) else { return ["\(service.rawValue) is down"] }
        return entries.compactMap { entry in
            let name = entries.count == 1 ? service.rawValue : "\(service.rawValue) \(entry.report.instance)"
            if !entry.isLive(at: now) { return "\(name) is down" }
            // A process may be ready without all of them.
            let missing = entry.report.dependencies.filter { !$0.value }.keys.sorted()
            return missing.isEmpty ? nil : "\(name) lacks \(missing.joined(separator: ", "))"
        }
    }
}

/// Keeps the changes of health until they are told: the database, where they are told, may be what has changed.
struct HealthHistory {
    struct Change: Sendable {
        var health: Health
        var time: Timestamp
    }

    private(set) var last: HealthStatus?
    /// In order; the oldest go first when it gets too long.
    private(set) var untold: [Change] = []

    private static let untoldMax = 100

    mutating func observe(_ health: Health, at time: Timestamp) {
        guard health.status != self.last else { return }
        self.last = health.status
        self.untold.append(Change(health: health, time: time))
        if self.untold.count > Self.untoldMax { self.untold.removeFirst() }
    }

    mutating func told(_ count: Int) { self.untold.removeFirst(count) }

    /// What is to be said after `status` was said last: a change back to it before anybody heard is none.
    static func events(_ changes: [Change], after status: HealthStatus) -> [(
        payload: SystemStatusChange, time: Timestamp
    )] {
        var status = status
        return changes.compactMap { change in
            guard change.health.status != status else { return nil }
            defer { status = change.health.status }
            let payload = SystemStatusChange(
                previousStatus: status, currentStatus: change.health.status, reason: change.health.reason,
                checks: change.health.checks)
            return (payload, change.time)
        }
    }
}
