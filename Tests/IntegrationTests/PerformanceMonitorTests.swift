import Events
import TestSupport
import Testing

/// What performance-monitor says over HTTP of a suite of real processes.
@Suite("Performance monitor", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct PerformanceMonitorTests {
    @Test func `every process is listed, and one that is killed is missed`() async throws {
        try await Suite.with([.auth, .obsBridge, .performanceMonitor], gateways: 0) { suite in
            let port = suite.port(.performanceMonitor)
            func processes() async throws -> [String: JSON] {
                let listed = try await Self.get("/api/system/processes", port: port)["processes"]?.array ?? []
                return Dictionary(
                    uniqueKeysWithValues: listed.compactMap { process in
                        process["name"]?.string.map { ($0, process) }
                    })
            }
            try await Suite.eventually("all three are ready") {
                let processes = try await processes()
                return processes.count == 3 && processes.values.allSatisfy { $0["ready"] == true }
            }
            #expect(try await Self.get("/api/ready", port: port)["checks"]?["sourceManagerInitialized"] == true)
            try await suite.kill9(.obsBridge)
            try await Suite.eventually("obs-bridge is missed") {
                try await processes()["obs-bridge"]?["alive"] == false
            }
            #expect(try await Self.get("/api/ready", port: port)["status"] == "not ready")
            let health = try await Self.get("/api/health", port: port)
            #expect(health["status"] == "unhealthy")
            #expect(health["reason"]?.string?.contains("obs-bridge is down") ?? false)
        }
    }

    @Test func `the machine is measured`() async throws {
        try await Suite.with([.auth, .performanceMonitor], gateways: 0) { suite in
            let port = suite.port(.performanceMonitor)
            try await Suite.eventually("there is a measurement") {
                try await Self.get("/api/performance/metrics", port: port)["system"]?["cpu"]?["usage"]?.double != nil
            }
            let metrics = try await Self.get("/api/performance/metrics", port: port)
            #expect((0...100).contains(metrics["system"]?["cpu"]?["usage"]?.double ?? -1))
            #expect(metrics["system"]?["memory"]?["usage"]?.double ?? 0 > 0)
            #expect(metrics["system"]?["uptime"]?.double ?? 0 > 0)
            #expect(metrics["sources"]?["averageCpuUsage"] == .null)
        }
    }

    @Test func `a client is told how the suite does`() async throws {
        let environment = ["PERFORMANCE_MONITOR_INTERVAL": "1", "PERFORMANCE_MONITOR_GRACE": "0"]
        try await Suite.with(environment: environment) { suite in
            let port = suite.port(.performanceMonitor)
            try await Suite.eventually("the suite is healthy, and that was told", within: .seconds(30)) {
                let told = try await Self.get("/v1/events?type=system.statusChange&limit=1000", port: port)["events"]?
                    .array
                let health = try await Self.get("/api/health", port: port)["status"]
                return health == "healthy" && (told?.last.map { $0["data"]?["currentStatus"] == "healthy" } ?? true)
            }
            let client = try await suite.connect(0, "/")
            try await client.send(["action": "subscribe", "events": ["performance:update", "system:*"]])
            let update = try await client.next { $0["event"] == "performance:update" }
            #expect((0...100).contains(update["data"]?["system"]?["cpu"]?.double ?? -1))
            #expect(update["data"]?["sources"]?["averageCpuUsage"] == .null)
            _ = try await client.next { $0["data"]?["application"]?["activeConnections"] == 1 }

            try await suite.kill9(.cameraEvents)
            let degraded = try await client.next(within: .seconds(20)) { $0["event"] == "system:statusChange" }
            #expect(
                degraded["data"]?["previousStatus"] == "healthy" && degraded["data"]?["currentStatus"] == "degraded")
            // Whoever notices first: the monitor ("is down") or the gateway ("lacks bus.camera-events").
            #expect(degraded["data"]?["reason"]?.string?.contains("camera-events") ?? false)
            #expect(
                degraded["data"]?["checks"]
                    == ["obsConnected": false, "sourceManagerInitialized": true, "memoryUsage": "normal"])
            try suite.start(.cameraEvents)
            let healthy = try await client.next(within: .seconds(20)) { $0["event"] == "system:statusChange" }
            #expect(healthy["data"]?["previousStatus"] == "degraded" && healthy["data"]?["currentStatus"] == "healthy")
        }
    }

    private static func get(_ path: String, port: Int) async throws -> JSON {
        JSON(parsing: try await HTTPClient.request("GET", port: port, path: path).body) ?? .null
    }
}
