import Events
import Testing

@testable import PerformanceMonitor

@Suite struct AlertTests {
    @Test(
        arguments: [
            // Up through both thresholds: one alert each.
            ([50, 79.9, 80, 85, 90, 99], [nil, nil, .warning, nil, .critical, nil]),
            // At once over both: the worse one.
            ([95, 85], [.critical, nil]),
            // Armed again 5 points below, not before.
            ([80, 75, 80, 74.9, 80], [.warning, nil, nil, nil, .warning]),
            ([90, 85, 90, 84.9, 90], [.critical, nil, nil, nil, .critical]),
        ] as [([Double], [PerformanceAlert.Severity?])])
    func `an alert is raised on the way up, and again after it fell`(
        values: [Double], severities: [PerformanceAlert.Severity?]
    ) {
        var alert = Alert(.highCPUUsage, name: "CPU", warning: 80, critical: 90)
        #expect(values.map { alert.observe($0)?.severity } == severities)
    }

    @Test func `an alert says what crossed which threshold`() {
        var alert = Alert(.highMemoryUsage, name: "Memory", warning: 90, critical: 95)
        let payload = alert.observe(91.5)
        #expect(
            payload
                == PerformanceAlert(
                    type: .highMemoryUsage, value: 91.5, threshold: 90, severity: .warning, source: "system",
                    message: "Memory usage is 91.5 %, over the threshold of 90.0 %"))
    }
}
