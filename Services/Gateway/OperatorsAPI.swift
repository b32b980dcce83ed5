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
            let edge = await edge.describe()
            let isShown = { (client: ClientDescription) in
                seesAll || client.tenants == [principal.tenant]
            }
            return Response.json([
                "connections": edge.connections.filter(isShown).sorted { $0.connectedAt < $1.connectedAt },
                "closed": edge.closed.filter(isShown),
            ])
        }
        router.get("/explain") { request, context in
            let principal = try context.require(.systemRead)
            guard let connection = request.uri.queryParameters["connection"],
                let event = request.uri.queryParameters["event"].flatMap({ Self.eventID(String($0)) })
            else {
                throw APIFailure(
                    .badRequest, "connection and event are needed: ids as /connections and clients show them")
            }
            guard let explanation = await edge.explain(connection: String(connection), event: event),
                principal.scopes.contains(.authAdmin) || explanation.isShown(to: principal.tenant)
            else { throw APIFailure(.notFound, "this connection or this event is not known here, or no longer") }
            return Response.json(explanation)
        }
        router.refuseOtherMethods()
        return Application(
            router: router,
            configuration: .init(
                address: .hostname(config.http.host, port: config.http.port), serverName: "crosspoint"),
            logger: process.logger)
    }

    /// An event's id as clients know it: Source Saver's have a prefix.
    private static func eventID(_ text: String) -> ULID? {
        ULID(text: text.hasPrefix("msg-") ? String(text.dropFirst(4)) : text)
    }
}
