import Access
import Events
import Hummingbird
import ServiceKit
import ServiceLifecycle

/// The gateway's own port: what every process answers, and `GET /connections`.
enum OperatorsAPI {
    static func application(
        config: GatewayConfig, process: ServiceProcess, readiness: Readiness, verifier: CredentialVerifier,
        proxies: TrustedProxies, proxyHeaders: ProxyHeaderCheck, anonymous: Principal?, edge: Edge
    ) -> any Service {
        let router = Router(context: APIContext.self, options: .autoGenerateHeadEndpoints)
        let shape: FailureMiddleware<APIContext>.Shape = { failure, _ in
            ("application/json", JSON.object(["error": .string(failure.message)]).bytes)
        }
        router.middlewares.add(FailureMiddleware(requests: RequestCounts(), shape: shape) { _ in nil })
        router.addOperatorRoutes(readiness: readiness, metrics: process.metrics, openAPI: PackageResources.openapi_yaml)
        router.middlewares.add(
            AuthenticationMiddleware(
                authenticate: verifier.authenticate, anonymous: anonymous, trustedProxies: proxies))
        router.addReadinessRoute(readiness)
        Self.addRoutes(to: router, describe: edge.describe) { await edge.explain(connection: $0, event: $1) }
        router.refuseOtherMethods()
        return Application(
            router: router, server: .proxiedHTTP1(proxyHeaders),
            configuration: .init(
                address: .hostname(config.http.host, port: config.http.port), serverName: "crosspoint"),
            logger: process.logger)
    }

    /// - Parameters:
    ///   - describe: the edge's connections.
    ///   - explain: what became of an event on a connection.
    static func addRoutes(
        to router: Router<APIContext>, describe: @escaping @Sendable () async -> EdgeDescription,
        explain: @escaping @Sendable (_ connection: String, _ event: ULID) async -> Explanation?
    ) {
        router.get("/connections") { _, context in
            let principal = try context.require(.systemRead, on: .channel)
            let isAdmin = principal.administersAuth
            let seesPersons = isAdmin || principal.permits(.auditRead, on: .channel)
            let edge = await describe()
            let shown = { (clients: [ClientDescription]) in
                clients.filter { isAdmin || $0.tenants == [principal.tenant] }
                    .map { seesPersons ? $0 : $0.withoutPerson }
            }
            return Response.json([
                "connections": shown(edge.connections).sorted { $0.connectedAt < $1.connectedAt },
                "closed": shown(edge.closed),
            ])
        }
        router.get("/explain") { request, context in
            let principal = try context.require(.systemRead, on: .channel)
            guard let connection = request.uri.queryParameters["connection"],
                let event = request.uri.queryParameters["event"].flatMap({ Self.eventID(String($0)) })
            else {
                throw APIFailure(
                    .badRequest, "connection and event are needed: ids as /connections and clients show them")
            }
            guard let explanation = await explain(String(connection), event),
                principal.administersAuth || explanation.isShown(to: principal.tenant)
            else { throw APIFailure(.notFound, "this connection or this event is not known here, or no longer") }
            return Response.json(explanation)
        }
    }

    /// An event's id as clients know it: Source Saver's have a prefix.
    private static func eventID(_ text: String) -> ULID? {
        ULID(text: text.hasPrefix("msg-") ? String(text.dropFirst(4)) : text)
    }
}
