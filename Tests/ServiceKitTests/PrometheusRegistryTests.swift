import CoreMetrics
import Testing

@testable import ServiceKit

@Suite struct PrometheusRegistryTests {
    private let registry = PrometheusRegistry()

    @Test func `counters and gauges are grouped by name, labels in order`() {
        let refusals = self.registry.makeCounter(
            label: "b_total", dimensions: [("status", "404"), ("dialect", "wave")])
        refusals.increment(by: 2)
        self.registry.makeCounter(label: "b_total", dimensions: [("dialect", "wave"), ("status", "404")]).increment(
            by: 1)
        self.registry.makeCounter(label: "b_total", dimensions: [("dialect", "astro"), ("status", "404")]).increment(
            by: 7)
        self.registry.makeRecorder(label: "a_clients", dimensions: [], aggregate: false).record(Int64(5))
        self.registry.destroyCounter(refusals)
        #expect(
            self.registry.text == """
                # TYPE a_clients gauge
                a_clients 5.0
                # TYPE b_total counter
                b_total{dialect="astro",status="404"} 7
                b_total{dialect="wave",status="404"} 3

                """)
    }

    @Test func `a timer is a histogram in seconds whose buckets add up`() {
        let timer = self.registry.makeTimer(label: "wait_seconds", dimensions: [("kind", "x")])
        for nanoseconds: Int64 in [50_000, 3_000_000, 3_000_000, 60_000_000_000] {
            timer.recordNanoseconds(nanoseconds)
        }
        let lines = self.registry.text.split(separator: "\n").map(String.init)
        #expect(lines[0] == "# TYPE wait_seconds histogram")
        #expect(lines.contains(#"wait_seconds_bucket{kind="x",le="0.0001"} 1"#))
        #expect(lines.contains(#"wait_seconds_bucket{kind="x",le="0.0025"} 1"#))
        #expect(lines.contains(#"wait_seconds_bucket{kind="x",le="0.005"} 3"#))
        #expect(lines.contains(#"wait_seconds_bucket{kind="x",le="10.0"} 3"#))
        #expect(lines.contains(#"wait_seconds_bucket{kind="x",le="+Inf"} 4"#))
        #expect(lines.contains(#"wait_seconds_count{kind="x"} 4"#))
        #expect(lines.contains { $0.hasPrefix(#"wait_seconds_sum{kind="x"} 60.006"#) })
    }

    @Test func `a value on a bucket's bound belongs to it`() {
        let recorder = self.registry.makeRecorder(label: "batch", dimensions: [], aggregate: true)
        recorder.record(Int64(10))
        #expect(self.registry.text.contains("batch_bucket{le=\"5.0\"} 0\nbatch_bucket{le=\"10.0\"} 1\n"))
    }

    @Test func `label values are escaped`() {
        self.registry.makeCounter(label: "c_total", dimensions: [("what", "a\"b\\c\nd\r\ne")]).increment(by: 1)
        #expect(
            self.registry.text.utf8.elementsEqual(
                "# TYPE c_total counter\nc_total{what=\"a\\\"b\\\\c\\nd\r\\ne\"} 1\n".utf8))
    }
}
