import Access
import Events
import Hummingbird
import ServiceKit
import ServiceLifecycle

/// The gateway's own port: what every process answers, and `GET /connections`.
enum OperatorsAPI {
    static func application(
        config: GatewayConfig, process: ServiceProcess, readiness: Readiness, verifier: CredentialVerifier,
        proxies: TrustedProxies, edge: Edge
    ) -> any Service {
        let router = Router(context: APIContext.self, options: .autoGenerateHeadEndpoints)
        let shape: FailureMiddleware<APIContext>.Shape = { failure, _ in
            ("application/json", JSON.object(["error": .string(failure.message)]).bytes)
        }
        router.middlewares.add(FailureMiddleware(requests: RequestCounts(), shape: shape) { _ in nil })
        router.addOperatorRoutes(readiness: readiness, metrics: process.metrics, openAPI: PackageResources.openapi_yaml)
        router.middlewares.add(
            AuthenticationMiddleware(
                authenticate: verifier.authenticate, anonymous: .anonymous, trustedProxies: proxies))
        router.get("/connections") { _, context in
            let principal = try context.require(.systemRead)
            let seesAll = principal.scopes.contains(.authAdmin)
            let clients = await edge.describe().filter { seesAll || $0.tenant == nil || $0.tenant == principal.tenant }
            return Response.json(["connections": clients.sorted { $0.connectedAt < $1.connectedAt }])
        }
        router.refuseOtherMethods()
        return Application(
            router: router,
            configuration: .init(
                address: .hostname(config.http.host, port: config.http.port), serverName: "crosspoint"),
            logger: process.logger)
    }
}
