import Events
public import Hummingbird
public import ServiceKit

extension Router where Context == APIContext {
    /// Adds `/readyz`: 200, or 503 while a dependency is missing that the process cannot do without. The dependencies are named to clients
    /// on this machine and to holders of `system:read`; all others learn only whether the process is ready.
    /// - Parameter clockSkews: returns by how much others' clocks are ahead of ours, which is shown beside the dependencies.
    public func addReadinessRoute(
        _ readiness: Readiness, clockSkews: @escaping @Sendable () -> [String: Duration] = { [:] }
    ) {
        self.get("/readyz") { _, context in
            let status = readiness.status
            var body: [String: JSON] = ["ready": .bool(status.isReady)]
            if context.isOperator {
                body["degraded"] = .array(status.degraded.map { .string($0) })
                body["dependencies"] = .object(status.dependencies.mapValues { .bool($0) })
                let skews = clockSkews()
                if !skews.isEmpty {
                    body["clock_skew_seconds"] = .object(skews.mapValues { JSON(Double($0.milliseconds) / 1000) })
                }
            }
            return Response.json(JSON.object(body), status: status.isReady ? .ok : .serviceUnavailable)
        }
    }
}

extension APIContext {
    /// Whether the client is on this machine or holds `system:read`.
    public var isOperator: Bool {
        self.principal?.permits(.systemRead, on: .channel) ?? self.isLocal
    }
}
