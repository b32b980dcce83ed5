import Events
import TestSupport
import Testing

/// A load balancer is told the truth: which gateway may get clients, and what it lacks.
@Suite("Readiness", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct ReadinessTests {
    @Test func `a gateway waits for a publisher that is up and cannot be followed, not for one that is down`()
        async throws
    {
        try await Suite.with([.auth], gateways: 0) { suite in
            // It runs and answers, but has no database.
            try suite.start(.obsBridge, environment: ["DATABASE_URL": "postgresql:///none?host=/nonexistent"])
            try await Suite.eventually("obs-bridge is alive") {
                (try? await HTTPClient.request("GET", port: suite.port(.obsBridge), path: "/healthz"))?.status == 200
            }
            try suite.startGateway()
            let port = suite.operatorsPort()
            let down = ["bus.camera-events", "bus.performance-monitor", "bus.radio-playout", "bus.stream-metrics"]
            try await Suite.eventually("only obs-bridge is still waited for") {
                let now = await Suite.readyz(port: port)
                return now.degraded == down && now.dependencies["auth-keys"] == true
                    && now.dependencies["bus.auth"] == true
            }
            let waiting = await Suite.readyz(port: port)
            #expect(!waiting.ready)
            #expect(waiting.dependencies["bus.obs-bridge"] == false)
            #expect(try await HTTPClient.request("GET", port: port, path: "/readyz").status == 503)

            try await suite.kill9(.obsBridge)
            try await Suite.eventually("the gateway goes on without obs-bridge") {
                let now = await Suite.readyz(port: port)
                return now.ready && now.degraded == (down + ["bus.obs-bridge"]).sorted()
            }
            #expect(try await HTTPClient.request("GET", port: port, path: "/readyz").status == 200)
            let series = #"{name="bus.obs-bridge"}"#
            #expect(try await Suite.metric("dependency_degraded\(series)", port: port) == 1)
            #expect(try await Suite.metric("dependency_ready\(series)", port: port) == 0)

            try suite.start(.obsBridge)
            try await Suite.eventually("the gateway has obs-bridge again") {
                let now = await Suite.readyz(port: port)
                return now.ready && now.degraded == down && now.dependencies["bus.obs-bridge"] == true
            }
        }
    }

    @Test func `a service goes on without auth as long as it has auth's keys`() async throws {
        try await Suite.with([.auth, .streamMetrics], gateways: 0) { suite in
            let (token, port) = (try await suite.token(), suite.port(.streamMetrics))
            #expect(await Suite.readyz(port: port).ready)
            try await suite.kill9(.auth)
            try await Suite.eventually("stream-metrics misses auth") {
                await Suite.readyz(port: port).degraded == ["bus.auth"]
            }
            #expect(await Suite.readyz(port: port).ready)
            #expect(try await suite.request("GET", .streamMetrics, "/v1/streams", token: token).status == 200)
        }
    }
}
