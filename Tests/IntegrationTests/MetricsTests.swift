import Events
import Foundation
import TestSupport
import Testing

/// What every process says of itself on `/metrics` (docs/operations.md).
@Suite("Metrics", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct MetricsTests {
    @Test func `dependencies, the process and the age of events are measured`() async throws {
        try await Suite.with([.auth, .streamMetrics]) { suite in
            let service = suite.port(.streamMetrics)
            let gateway = suite.operatorsPort()
            #expect(try await Suite.metric(#"dependency_ready{name="database"}"#, port: service) == 1)
            #expect(try await Suite.metric(#"dependency_ready{name="bus.stream-metrics"}"#, port: gateway) == 1)
            #expect(try await Suite.metric(#"dependency_ready{name="bus.radio-playout"}"#, port: gateway) == 0)

            let pid = try suite.pid("stream-metrics")
            let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
            let counted = try #require(try await Suite.metric("process_open_fds", port: service))
            // The request's own connection, and what comes and goes in between.
            #expect(abs(counted - Double(open)) <= 3, "\(counted) and \(open)")
            let memory = try #require(try await Suite.metric("process_resident_memory_bytes", port: service))
            #expect(memory > 4e6 && memory < 2e9)
            let seconds = try #require(try await Suite.metric("process_cpu_seconds_total", port: service))
            #expect(seconds > 0 && seconds < 600)
            #expect(try #require(try await Suite.metric("process_cpu_seconds_total", port: service)) >= seconds)

            let streams = try await StreamsClient(suite)
            let stream = try await streams.create()
            let client = try await suite.connect(2, "/v1/streams?api_key=\(streams.token)")
            try await client.send(["type": "subscribe", "stream_id": .string(stream)])
            #expect(try await client.next()["type"] == "subscribed")
            try await streams.succeed("POST", "/\(stream)/start")
            #expect(try await client.next()["type"] == "stream.started")
            #expect(try await Suite.metric(#"gateway_event_age_seconds_count{dialect="wave"}"#, port: gateway) == 1)
            let age = try #require(
                try await Suite.metric(#"gateway_event_age_seconds_sum{dialect="wave"}"#, port: gateway))
            #expect((0..<30).contains(age))
        }
    }
}
