import Events
public import Hummingbird
public import ServiceKit

extension Router where Context == APIContext {
    /// Adds `/readyz`: 200, or 503 while a dependency is missing. The dependencies are named to clients on this machine and to holders of
    /// `system:read`; everybody else learns only whether the process is ready.
    public func addReadinessRoute(_ readiness: Readiness) {
        self.get("/readyz") { _, context in
            let dependencies = readiness.dependencies
            let isReady = dependencies.values.allSatisfy(\.self)
            var body: [String: JSON] = ["ready": .bool(isReady)]
            if context.isOperator { body["dependencies"] = .object(dependencies.mapValues { .bool($0) }) }
            return Response.json(JSON.object(body), status: isReady ? .ok : .serviceUnavailable)
        }
    }
}

extension APIContext {
    /// Whether the client is on this machine or holds `system:read`.
    public var isOperator: Bool {
        self.principal?.permits(.systemRead, on: .channel) ?? self.isLocal
    }
}
