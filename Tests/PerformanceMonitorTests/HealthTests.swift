import Events
import Testing

@testable import PerformanceMonitor

@Suite struct HealthTests {
    private let now = ContinuousClock.now

    /// Everything runs, except for what the closure changes.
    private func health(
        memoryUsage: Double? = 50, databaseIsReady: Bool = true, without missing: ServiceName? = nil,
        _ change: (inout ProcessTable) -> Void = { _ in }
    ) -> Health {
        var table = ProcessTable()
        for service in ServiceName.allCases where service != missing { table.hear(.make(service), at: self.now) }
        change(&table)
        return Health(of: table, memoryUsage: memoryUsage, databaseIsReady: databaseIsReady, at: self.now)
    }

    @Test func `healthy is everything ready`() {
        let health = self.health()
        #expect(health.status == .healthy)
        #expect(health.reason == "all services are ready")
        #expect(health.checks == .init(obsConnected: false, sourceManagerInitialized: true, memoryUsage: .normal))
    }

    @Test(arguments: ServiceName.allCases.filter { $0 != .gateway })
    func `a missing service degrades and is named`(service: ServiceName) {
        let health = self.health(without: service)
        #expect(health.status == .degraded)
        #expect(health.reason == "\(service.rawValue) is down")
        #expect(health.checks.sourceManagerInitialized == (service != .obsBridge))
    }

    @Test func `without a gateway nobody gets anything`() {
        let health = self.health(without: .gateway)
        #expect(health.status == .unhealthy)
        #expect(health.reason == "gateway is down")
    }

    @Test func `one of two gateways down degrades`() {
        let health = self.health { $0.hear(.make(.gateway, "two"), at: self.now - .seconds(10)) }
        #expect(health.status == .degraded)
        #expect(health.reason == "gateway two is down")
    }

    @Test func `what a service lacks is named`() {
        let health = self.health {
            $0.hear(.make(.obsBridge, dependencies: ["database": false, "bus.auth": false]), at: self.now)
        }
        #expect(health.status == .degraded)
        #expect(health.reason == "obs-bridge lacks bus.auth, database")
        #expect(!health.checks.sourceManagerInitialized)
    }

    @Test func `without a database all is unhealthy`() {
        #expect(self.health(databaseIsReady: false).status == .unhealthy)
        #expect(self.health(databaseIsReady: false).reason == "the database is away")
    }

    @Test func `high memory degrades from 90 per cent on`() {
        #expect(self.health(memoryUsage: 89.9).status == .healthy)
        let health = self.health(memoryUsage: 90)
        #expect(health.status == .degraded)
        #expect(health.checks.memoryUsage == .high)
        #expect(health.reason == "memory usage is 90 %")
    }

    @Test func `OBS counts as connected when the bridge says so`() {
        #expect(
            self.health { $0.hear(.make(.obsBridge, gauges: ["obs.connected": 1]), at: self.now) }.checks.obsConnected)
        #expect(
            !self.health { $0.hear(.make(.obsBridge, gauges: ["obs.connected": 0]), at: self.now) }.checks.obsConnected)
    }

    @Test func `only changes of the status are remembered until they are told`() {
        var history = HealthHistory()
        let (healthy, degraded) = (self.health(), self.health(without: .auth))
        for (second, health) in [healthy, healthy, degraded, degraded, healthy].enumerated() {
            history.observe(health, at: Timestamp(milliseconds: Int64(second) * 1000))
        }
        #expect(history.untold.map(\.health.status) == [.healthy, .degraded, .healthy])
        #expect(history.untold.map(\.time.seconds) == [0, 2, 4])
        history.told(2)
        #expect(history.untold.map(\.time.seconds) == [4])
    }

    @Test func `each event goes on from what was said before`() {
        let changes = [self.health(), self.health(without: .gateway), self.health()].map {
            HealthHistory.Change(health: $0, time: Timestamp(milliseconds: 0))
        }
        let events = HealthHistory.events(changes, after: .healthy).map(\.payload)
        #expect(events.map(\.previousStatus) == [.healthy, .unhealthy])
        #expect(events.map(\.currentStatus) == [.unhealthy, .healthy])
        #expect(HealthHistory.events(changes, after: .degraded).count == 3)
        #expect(HealthHistory.events(Array(changes.prefix(1)), after: .healthy).isEmpty)
    }

    @Test func `a long outage keeps the latest changes`() {
        var history = HealthHistory()
        for second in 0..<250 {
            let health = second.isMultiple(of: 2) ? self.health() : self.health(without: .auth)
            history.observe(health, at: Timestamp(milliseconds: Int64(second) * 1000))
        }
        #expect(history.untold.count == 100)
        #expect(history.untold.last?.time.seconds == 249)
    }
}
