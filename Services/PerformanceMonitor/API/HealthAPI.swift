import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird

/// Whether the suite is well: contract source-saver §10, *System*. Load balancers and people ask without a credential.
struct HealthAPI {
    let monitor: Monitor
    let config: PerformanceMonitorConfig

    static let version = "0.1.0"

    func add(to router: Router<APIContext>) {
        router.get("/api/health") { await self.health($1) }
        router.get("/api/ready") { _, _ in await self.ready() }
    }

    /// Which process lacks what is for holders of `system:read`.
    @Sendable
    private func health(_ context: APIContext) async -> Response {
        let health = await self.monitor.health()
        var body: [String: JSON] = [
            "status": .string(health.status.rawValue), "timestamp": .string(Timestamp.now.iso8601),
            "uptime": .integer(Int64(self.monitor.uptime)), "version": .string(Self.version),
            "environment": .string(self.config.environment),
        ]
        let reason = context.principal?.permits(.systemRead, on: .channel) ?? false ? health.reason : nil
        if let reason { body["reason"] = .string(reason) }
        if health.status == .unhealthy { body["error"] = .string(reason ?? "The suite is unhealthy") }
        return .json(JSON.object(body), status: health.status == .unhealthy ? .serviceUnavailable : .ok)
    }

    /// OBS is shown but not needed: sources can be kept without it.
    @Sendable
    private func ready() async -> Response {
        let checks = await self.monitor.health().checks
        let hasDatabase = self.monitor.databaseIsReady
        let isReady = checks.sourceManagerInitialized && hasDatabase
        var body: [String: JSON] = [
            "status": isReady ? "ready" : "not ready", "timestamp": .string(Timestamp.now.iso8601),
            "checks": [
                "obsConnected": .bool(checks.obsConnected),
                "sourceManagerInitialized": .bool(checks.sourceManagerInitialized),
                "databaseConnected": .bool(hasDatabase),
            ],
        ]
        if !isReady { body["error"] = .string(hasDatabase ? "obs-bridge is not ready" : "the database is away") }
        return .json(JSON.object(body), status: isReady ? .ok : .serviceUnavailable)
    }
}
