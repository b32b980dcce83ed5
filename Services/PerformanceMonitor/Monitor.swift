import Bus
import Database
import Events
import Logging

/// Knows how the machine and every process are, and tells of it: contract source-saver §4, `performance:*` and `system:*`.
actor Monitor {
    /// A measurement and what was published of it.
    struct Sample: Sendable {
        var machine: Machine.Reading
        /// Per cent.
        var processorUsage: Double
        /// Milliseconds.
        var averageResponseTime: Double
    }

    private let database: Database
    private let writer: EventWriter
    private let publisher: Publisher
    private let logger: Logger
    private let grace: Duration
    private let start = ContinuousClock.now
    nonisolated let startTime = Timestamp.now

    private(set) var processes = ProcessTable()
    private(set) var sample: Sample?
    private var history = HealthHistory()
    private var processorTimes: ProcessorTimes?
    private var requestsBefore = ProcessTable.Requests()
    private var processorAlert = Alert(.highCPUUsage, name: "CPU", warning: 80, critical: 90)
    private var memoryAlert = Alert(.highMemoryUsage, name: "Memory", warning: Health.memoryHigh, critical: 95)

    static let checkInterval = Duration.seconds(2)
    /// What is published here concerns the installation, so it belongs to the default tenant.
    private static let tenant = Principal.defaultTenant

    init(database: Database, writer: EventWriter, publisher: Publisher, grace: Duration, logger: Logger) {
        self.database = database
        self.writer = writer
        self.publisher = publisher
        self.grace = grace
        self.logger = logger
    }

    nonisolated var databaseIsReady: Bool { self.database.isReady }

    /// Seconds since this process started.
    nonisolated var uptime: Double { (Timestamp.now - self.startTime) / .seconds(1) }

    func hear(_ report: ReportProcess) { self.processes.hear(report, at: .now) }

    /// How the suite is now.
    func health() -> Health {
        Health(
            of: self.processes, memoryUsage: Machine.read()?.memory.usage, databaseIsReady: self.databaseIsReady,
            at: .now)
    }

    // MARK: measuring

    /// Measures what happened since it was called last, and publishes it. The first call waits a second to have something.
    func measure() async {
        if self.processorTimes == nil {
            self.processorTimes = Machine.read()?.processor
            // `try?`: when it is cancelled the process ends.
            try? await Task.sleep(for: .seconds(1))
        }
        guard let before = self.processorTimes, let machine = Machine.read() else {
            return self.logger.warning("This machine cannot be measured")
        }
        let sample = Sample(
            machine: machine, processorUsage: machine.processor.usage(since: before),
            averageResponseTime: self.processes.requests.averageMilliseconds(since: self.requestsBefore))
        self.sample = sample
        self.processorTimes = machine.processor
        self.requestsBefore = self.processes.requests
        let update = Event(self.update(sample), tenant: Self.tenant, publisher: .performanceMonitor)
        await self.publisher.publish([update])
        await self.raiseAlerts(sample)
    }

    private func update(_ sample: Sample) -> PerformanceUpdate {
        let now = ContinuousClock.now
        return PerformanceUpdate(
            system: .init(
                cpu: sample.processorUsage.tenths, memory: sample.machine.memory.used.tenths,
                uptime: Int(clamping: sample.machine.uptime)),
            application: .init(
                activeConnections: Int(clamping: self.processes.gauge("connections", of: .gateway, at: now) ?? 0),
                averageResponseTime: sample.averageResponseTime.tenths),
            sources: .init(
                total: Int(clamping: self.processes.gauge("sources.total", of: .obsBridge, at: now) ?? 0),
                active: Int(clamping: self.processes.gauge("sources.active", of: .obsBridge, at: now) ?? 0),
                averageCpuUsage: nil)
        )
    }

    private func raiseAlerts(_ sample: Sample) async {
        var (processorAlert, memoryAlert) = (self.processorAlert, self.memoryAlert)
        let alerts = [
            processorAlert.observe(sample.processorUsage.tenths),
            memoryAlert.observe(sample.machine.memory.usage.tenths),
        ].compactMap(\.self)
        if !alerts.isEmpty {
            do {
                try await self.writer.write { mutation in
                    for alert in alerts {
                        mutation.emit(Event(alert, tenant: Self.tenant, publisher: .performanceMonitor))
                    }
                }
            } catch {
                // Nothing is remembered, so that the next measurement raises them again.
                return self.logger.warning("An alert could not be raised", metadata: ["error": "\(error)"])
            }
        }
        (self.processorAlert, self.memoryAlert) = (processorAlert, memoryAlert)
    }

    // MARK: watching

    /// Judges the suite's health and tells of changes, late ones too.
    func checkHealth() async {
        let now = ContinuousClock.now
        // Processes that start together need a moment to hear of each other.
        guard now - self.start >= self.grace else { return }
        self.processes.forget(at: now)
        self.history.observe(self.health(), at: .now)
        let changes = self.history.untold
        guard !changes.isEmpty, self.databaseIsReady else { return }
        do {
            try await self.writer.write { mutation in try await Self.tell(changes, mutation) }
            self.history.told(changes.count)
        } catch {
            self.logger.info("A change of health waits for the database", metadata: ["error": "\(error)"])
        }
    }

    private static func tell(_ changes: [HealthHistory.Change], _ mutation: Mutation) async throws {
        let rows = try await mutation.query("SELECT status FROM health WHERE tenant = \(Self.tenant)")
        let status = try rows.first.flatMap { HealthStatus(rawValue: try $0.decode("status")) }
        let events = HealthHistory.events(changes, after: status ?? .healthy)
        for (payload, time) in events {
            mutation.emit(Event(payload, tenant: Self.tenant, publisher: .performanceMonitor, time: time))
        }
        guard let (payload, time) = events.last else { return }
        _ = try await mutation.query(
            """
            INSERT INTO health (tenant, status, reason, changed_at)
            VALUES (\(Self.tenant), \(payload.currentStatus.rawValue), \(payload.reason), \(time))
            ON CONFLICT (tenant) DO UPDATE
            SET status = excluded.status, reason = excluded.reason, changed_at = excluded.changed_at
            """)
    }
}

extension Double {
    /// Rounded to one decimal.
    var tenths: Double { (self * 10).rounded() / 10 }
}
