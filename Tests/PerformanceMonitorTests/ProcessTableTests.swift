import Events
import Testing

@testable import PerformanceMonitor

@Suite struct ProcessTableTests {
    private let start = ContinuousClock.now

    @Test func `a process that is silent for more than six seconds is not live`() {
        var table = ProcessTable()
        table.hear(.make(.auth), at: self.start)
        #expect(table.live(.auth, at: self.start + .seconds(6)).count == 1)
        #expect(table.live(.auth, at: self.start + .seconds(7)).isEmpty)
        #expect(table.entries(of: .auth).count == 1)
    }

    @Test func `a process that is silent for more than a minute is forgotten`() {
        var table = ProcessTable()
        table.hear(.make(.auth), at: self.start)
        table.forget(at: self.start + .seconds(60))
        #expect(table.entries(of: .auth).count == 1)
        table.forget(at: self.start + .seconds(61))
        #expect(table.entries(of: .auth).isEmpty)
    }

    @Test func `gauges of live replicas are added up`() {
        var table = ProcessTable()
        table.hear(.make(.gateway, "a", gauges: ["connections": 3]), at: self.start)
        table.hear(.make(.gateway, "b", gauges: ["connections": 4]), at: self.start + .seconds(10))
        #expect(table.gauge("connections", of: .gateway, at: self.start + .seconds(5)) == 7)
        #expect(table.gauge("connections", of: .gateway, at: self.start + .seconds(12)) == 4)
        #expect(table.gauge("connections", of: .auth, at: self.start) == nil)
    }

    @Test func `requests count from the first report on, and from zero after a restart`() {
        var table = ProcessTable()
        func hear(pid: Int32, _ requests: Double, _ seconds: Double) {
            let gauges = ["http.requests": requests, "http.seconds": seconds]
            table.hear(.make(.auth, pid: pid, gauges: gauges), at: self.start)
        }
        hear(pid: 1, 1000, 50)
        #expect(table.requests == .init())
        hear(pid: 1, 1010, 51)
        let before = table.requests
        #expect(before == .init(count: 10, seconds: 1))
        #expect(before.averageMilliseconds(since: .init()) == 100)
        #expect(before.averageMilliseconds(since: before) == 0)
        hear(pid: 2, 4, 2)
        #expect(table.requests == .init(count: 14, seconds: 3))
        #expect(table.requests.averageMilliseconds(since: before) == 500)
    }
}

extension ReportProcess {
    static func make(
        _ process: ServiceName, _ instance: String = "one", pid: Int32 = 1,
        dependencies: [String: Bool] = ["database": true],
        gauges: [String: Double] = [:]
    ) -> ReportProcess {
        ReportProcess(
            process: process, instance: instance, pid: pid, isReady: dependencies.values.allSatisfy(\.self),
            dependencies: dependencies, gauges: gauges)
    }
}
