import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// What the suite is and does: contract source-saver §10, *System*, and the processes by name. What nobody measures is `null`.
struct SystemAPI {
    let monitor: Monitor
    let config: PerformanceMonitorConfig

    func add(to router: Router<APIContext>) {
        router.get("/api/config") { try await self.configuration($1) }
        router.get("/api/performance/metrics") { try await self.metrics($0, $1) }
        router.get("/api/system/info") { try self.info($1) }
        router.get("/api/system/processes") { try await self.processes($1) }
    }

    @Sendable
    private func configuration(_ context: APIContext) async throws -> Response {
        try context.require(.systemRead, on: .channel)
        let health = await self.monitor.health()
        let body: JSON = [
            "serverUrl": .string(self.config.serverURL), "obsConnected": .bool(health.checks.obsConnected),
            "features": [
                "memoryOptimization": false, "sourcePreloading": false, "maxConcurrentSources": 10,
                "performanceMonitoring": true,
                "webSocketEnabled": true,
            ],
            "limits": [
                "maxSourceWidth": 7680, "maxSourceHeight": 4320, "maxRefreshRate": 60, "maxSourcesPerScene": 20,
            ],
            "environment": ["nodeEnv": .string(self.config.environment), "platform": "linux"],
        ]
        return .json(body)
    }

    /// The latest measurement; `hours` and `detailed` are checked and change nothing.
    @Sendable
    private func metrics(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try context.require(.systemRead, on: .channel)
        let query = request.uri.queryParameters
        if let hours = query["hours"], !(1...24).contains(Int(hours) ?? 0) {
            throw APIFailure(.badRequest, "hours must be between 1 and 24")
        }
        if let detailed = query["detailed"], Bool(String(detailed)) == nil {
            throw APIFailure(.badRequest, "detailed must be true or false")
        }
        let sample = await self.monitor.sample
        let processes = await self.monitor.processes
        let now = ContinuousClock.now
        let connections = JSON(processes.gauge("connections", of: .gateway, at: now))
        // obs-bridge speaks of the default tenant's sources and OBS, which are nobody else's business.
        let showsSources = principal.tenant == Principal.defaultTenant
        func sources(_ name: String) -> JSON {
            showsSources ? JSON(processes.gauge(name, of: .obsBridge, at: now)) : nil
        }
        let body: JSON = [
            "timestamp": .string(Timestamp.now.iso8601),
            "system": Self.system(sample),
            "application": [
                "activeConnections": connections, "totalRequests": .integer(Int64(clamping: processes.requests.count)),
                "averageResponseTime": JSON(sample?.averageResponseTime.tenths), "errorRate": nil,
            ],
            "database": ["connections": nil, "totalConnections": nil, "currentConnections": nil, "queryTime": nil],
            "webSocket": [
                "connections": connections, "totalConnections": nil, "currentConnections": connections,
                "messagesPerSecond": nil,
            ],
            "sources": [
                "total": sources("sources.total"), "active": sources("sources.active"), "averageCpuUsage": nil,
                "averageMemoryUsage": nil, "averageRenderTime": nil,
            ],
            "obs": [
                "connected": .bool((processes.gauge("obs.connected", of: .obsBridge, at: now) ?? 0) > 0),
                "fps": sources("obs.fps"), "renderTime": sources("obs.renderTime"),
                "skippedFrames": sources("obs.skippedFrames"), "totalFrames": sources("obs.totalFrames"),
            ],
        ]
        return .json(body)
    }

    private static func system(_ sample: Monitor.Sample?) -> JSON {
        let machine = sample?.machine
        return [
            "cpu": [
                "usage": JSON(sample?.processorUsage.tenths),
                "cores": JSON((machine?.processor.cores).map(Double.init)),
                "model": Machine.processorModel().map { .string($0) } ?? nil,
            ],
            "memory": [
                "usage": JSON(machine?.memory.used.tenths), "total": JSON(machine?.memory.total.tenths),
                "percentage": JSON(machine?.memory.usage.tenths),
            ],
            "uptime": JSON(machine?.uptime.rounded(.down)),
        ]
    }

    @Sendable
    private func info(_ context: APIContext) throws -> Response {
        try context.require(.systemRead, on: .channel)
        let body: JSON = [
            "application": [
                "name": "Crosspoint", "version": .string(HealthAPI.version),
                "startTime": .string(self.monitor.startTime.iso8601), "uptime": .integer(Int64(self.monitor.uptime)),
                "environment": .string(self.config.environment),
            ],
            "runtime": ["platform": ["os": "linux", "arch": .string(Self.architecture)]],
            "features": [
                "webSocketSupport": true, "compressionEnabled": false, "rateLimitingEnabled": true,
                "errorTrackingEnabled": false,
                "performanceMonitoringEnabled": true,
            ],
            "configuration": [
                "port": .integer(Int64(self.config.edgePort)), "maxConcurrentSources": 10,
                "performanceMonitoringInterval": .integer(self.config.interval.milliseconds), "metricsRetentionDays": 0,
            ],
        ]
        return .json(body)
    }

    private static var architecture: String {
        #if arch(x86_64)
            "x64"
        #elseif arch(arm64)
            "arm64"
        #else
            "other"
        #endif
    }

    @Sendable
    private func processes(_ context: APIContext) async throws -> Response {
        let principal = try context.require(.systemRead, on: .channel)
        let now = ContinuousClock.now
        let processes = await self.monitor.processes
        let entries = ServiceName.allCases.flatMap { processes.entries(of: $0) }
        return .json(["processes": .array(entries.map { Self.process($0, for: principal, now) })] as JSON)
    }

    /// Whether a gauge may be shown. Those of obs-bridge are about the default tenant's sources and OBS; beside those of the machine's own
    /// work, which name nobody, the others are about all tenants at once.
    static func isShown(_ gauge: String, to principal: Principal) -> Bool {
        switch gauge.prefix(while: { $0 != "." }) {
        case "http", "connections": true
        case "sources", "obs": principal.tenant == Principal.defaultTenant || principal.administersAuth
        default: principal.administersAuth
        }
    }

    private static func process(
        _ entry: ProcessTable.Entry, for principal: Principal, _ now: ContinuousClock.Instant
    ) -> JSON {
        let report = entry.report
        let gauges = report.gauges.filter { Self.isShown($0.key, to: principal) }
        return [
            "name": .string(report.process.rawValue), "instance": .string(report.instance),
            "pid": .integer(Int64(report.pid)),
            "alive": .bool(entry.isLive(at: now)), "ready": .bool(report.isReady && entry.isLive(at: now)),
            "dependencies": .object(report.dependencies.mapValues { .bool($0) }),
            "gauges": .object(gauges.mapValues { JSON($0) }),
            "age": .number(((now - entry.heard) / .seconds(1)).tenths),
        ]
    }
}
