import Access
import Bus
import Events
import Hummingbird
import ServiceKit
import ServiceLifecycle
import WebSockets

/// The gateway's own port: what every process answers, and `GET /connections`.
enum OperatorsAPI {
    static func application(
        config: GatewayConfig, process: ServiceProcess, readiness: Readiness, verifier: CredentialVerifier,
        proxies: TrustedProxies, proxyHeaders: ProxyHeaderCheck, anonymous: Principal?, edge: Edge,
        publishers: HeardPublishers
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
        router.addReadinessRoute(readiness) {
            ServiceName.publishers.reduce(into: [:]) { $0[$1.rawValue] = publishers.state(of: $1).skew }
        }
        Self.addRoutes(to: router, describe: { await edge.describe($0) }) {
            await edge.explain(connection: $0, event: $1)
        }
        router.refuseOtherMethods()
        return Application(
            router: router, server: .proxiedHTTP1(proxyHeaders),
            configuration: .init(
                address: .hostname(config.http.host, port: config.http.port), serverName: "crosspoint"),
            logger: process.logger)
    }

    /// - Parameters:
    ///   - describe: returns a page of the edge's connections; `nil` if a loop has too much to do to answer.
    ///   - explain: what became of an event on a connection.
    static func addRoutes(
        to router: Router<APIContext>,
        describe: @escaping @Sendable (ConnectionsQuestion) async -> EdgeDescription?,
        explain: @escaping @Sendable (_ connection: String, _ event: ULID) async -> Explanation?
    ) {
        router.get("/connections") { request, context in
            let principal = try context.requireCredential(.systemRead, on: .channel)
            let isAdmin = principal.administersAuth
            let seesPersons = isAdmin || principal.permits(.auditRead, on: .channel)
            var question = try Self.question(request)
            if !isAdmin { question.tenant = principal.tenant }
            guard let page = await describe(question) else {
                throw APIFailure.unavailable("The gateway has too much to do at the moment")
            }
            func shown(_ clients: [ClientDescription]) -> [ClientDescription] {
                seesPersons ? clients : clients.map(\.withoutPerson)
            }
            return Response.json(
                ConnectionsPage(
                    connections: shown(page.connections), closed: shown(page.closed), next: page.next?.description))
        }
        router.get("/explain") { request, context in
            let principal = try context.requireCredential(.systemRead, on: .channel)
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

    private struct ConnectionsPage: Encodable {
        let connections: [ClientDescription]
        let closed: [ClientDescription]
        /// Left out on the last page.
        let next: String?
    }

    private static func question(_ request: Request) throws(APIFailure) -> ConnectionsQuestion {
        var question = ConnectionsQuestion(limit: ConnectionsQuestion.limitUsual)
        if let text = request.uri.queryParameters["limit"] {
            guard let limit = Int(text), (1...ConnectionsQuestion.limitMax).contains(limit) else {
                throw APIFailure(.badRequest, "limit must be 1 to \(ConnectionsQuestion.limitMax)")
            }
            question.limit = limit
        }
        if let text = request.uri.queryParameters["after"] {
            guard let raw = UInt64(text) else { throw APIFailure(.badRequest, "after must be what `next` said") }
            question.after = ConnectionID(raw: raw)
        }
        return question
    }

    /// An event's id as clients know it: Source Saver's have a prefix.
    private static func eventID(_ text: String) -> ULID? {
        ULID(text: text.hasPrefix("msg-") ? String(text.dropFirst(4)) : text)
    }
}
