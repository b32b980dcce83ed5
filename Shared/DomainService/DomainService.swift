public import Access
public import Bus
import Configuration
public import Database
public import Events
import HTTPTypes
public import Hummingbird
public import Logging
import NIOCore
public import ServiceKit
public import ServiceLifecycle

/// A service that owns data: its tables and log in Postgres, its events and commands on the bus, its API over HTTP, and who may
/// use them. An executable adds its routes, its answers to commands and its duties, and runs `parts`.
public struct DomainService {
    public let name: ServiceName
    public let logger: Logger
    public let database: Database
    public let writer: EventWriter
    public let publisher: Publisher
    /// Answers others' commands.
    public let commands: CommandServer
    /// Asks others.
    public let client: CommandClient
    public let router: Router<APIContext>
    public let readiness: Readiness
    public let requests = RequestCounts()
    /// Judges a credential that comes in another way than with an API's request.
    public let authenticate: Authenticate

    /// For `GET /v1/events`. It has connections of its own, so that no other request waits for its readers.
    let log: EventLog
    private let logDatabase: Database
    /// For followers on the bus. It has connections of its own, so that the repair of a gap waits for no other reader.
    private let replays: EventLog
    private let replayDatabase: Database
    private let http: HTTPConfig
    private let proxyHeaders: ProxyHeaderCheck
    private let verifier: CredentialVerifier
    private let authEndpoints: BusEndpoints?

    /// - Parameters:
    ///   - shape: the error bodies of this service's APIs.
    ///   - anonymous: who a local client without a credential is, if the configuration lets it in; `nil`: nobody.
    ///   - authenticate: given the database and its writer, how credentials are judged; `nil`: asks auth over the bus.
    public init(
        _ name: ServiceName, _ process: ServiceProcess, migrations: [Migration], openAPI: [UInt8],
        anonymous: Principal? = nil, authenticate: ((Database, EventWriter) -> Authenticate)? = nil,
        shape: @escaping FailureMiddleware<APIContext>.Shape
    ) throws {
        let config = process.config
        let bus = try BusConfig(
            config, for: name, portsBase: config.portsBase(), secret: config.secretKey(forKey: "bus.key.file"),
            peers: config.textFile(forKey: "bus.peers.file"))
        let databaseConfig = try DatabaseConfiguration(config, schema: name.rawValue.replacing("-", with: "_"))
        let own = bus.own(name)
        let publisher = try Publisher(endpoint: own.events, keys: own.keys)
        bus.warnIfOpen(process.logger)
        self.name = name
        self.logger = process.logger
        self.http = try HTTPConfig(config, service: name.rawValue, offset: name.portOffset)
        self.proxyHeaders = ProxyHeaderCheck(key: self.http.proxyKey, logger: process.logger)
        let anonymousAccess = try AnonymousAccess(config)
        if anonymous != nil { anonymousAccess.warn(process.logger) }
        self.publisher = publisher
        self.database = Database(databaseConfig, migrations: EventLog.migrations + migrations, logger: process.logger)
        let logConfig = try EventLogConfig(config)
        self.writer = EventWriter(
            database: self.database, publisher: name, retention: logConfig.retention, logger: process.logger,
            // Followers that stand on numbers that were lost go back before the first event of this term.
            whenActive: { await publisher.announce(Announcement(publisher: name, position: $0)) }
        ) { events in
            await publisher.publish(events)
        }
        self.logDatabase = Database(
            databaseConfig.forLog(pool: "log", waitMax: .seconds(1)), beside: self.database, logger: process.logger)
        self.log = EventLog(self.logDatabase, publisher: name)
        self.replayDatabase = Database(
            databaseConfig.forLog(pool: "replays", waitMax: .seconds(2)), beside: self.database, logger: process.logger)
        self.replays = EventLog(self.replayDatabase, publisher: name)
        self.commands = CommandServer(endpoint: own.commands, keys: own.keys, logger: process.logger)
        self.client = CommandClient(endpoints: bus.endpoints, logger: process.logger)
        self.readiness = Readiness()
        self.router = Router(context: APIContext.self, options: .autoGenerateHeadEndpoints)
        // Auth judges credentials by itself.
        let cache = name == .auth ? nil : AccessConfig(config).cache(for: name.rawValue, logger: process.logger)
        let verifier = CredentialVerifier(commands: self.client, process: name, cache: cache, logger: process.logger)
        self.verifier = verifier
        self.authEndpoints = name == .auth ? nil : bus.endpoints[.auth]
        let authenticate = authenticate?(self.database, self.writer) ?? verifier.authenticate
        self.authenticate = authenticate

        self.http.warnIfExposed(try TrustedProxies(config), process.logger)
        self.router.middlewares.add(ConnectionCloseMiddleware())
        self.router.middlewares.add(
            FailureMiddleware(requests: self.requests, shape: shape, translate: APIFailure.init(translating:)))
        self.router.addOperatorRoutes(readiness: self.readiness, metrics: process.metrics, openAPI: openAPI)
        self.router.middlewares.add(
            AuthenticationMiddleware(
                authenticate: authenticate, anonymous: anonymousAccess.isAllowed ? anonymous : nil,
                trustedProxies: try TrustedProxies(config)))
        self.router.addReadinessRoute(self.readiness)
        self.addEventsRoute()
        self.answerReplays()
        let (database, writer) = (self.database, self.writer)
        self.readiness.require("database") { database.isReady }
        // A standby has the database, but not the lock that makes it the one writer.
        self.readiness.require("writer") { writer.isActive }
        if name != .auth {
            // Access tokens are judged without auth while its keys are known.
            self.readiness.observe("bus.auth") { verifier.isAuthReachable ? .ready : .degraded }
            self.readiness.require("auth-keys") { verifier.hasKeys }
        }
    }

    /// Everything that runs, in the order of dependency.
    /// - Parameter gauges: numbers for performance-monitor, see `ReportProcess`.
    public func parts(
        with duties: [any Service] = [], gauges: @escaping @Sendable () async -> [String: Double] = { [:] }
    ) -> [any Service] {
        let (name, publisher, writer, client, readiness, requests) =
            (self.name, self.publisher, self.writer, self.client, self.readiness, self.requests)
        let announcer = PeriodicDuty(every: .seconds(1)) {
            let position = writer.head ?? Position(epoch: 0, term: 0, seq: 0)
            await publisher.announce(Announcement(publisher: name, position: position))
        }
        let reporter = PeriodicDuty(every: .seconds(2)) {
            var gauges = await gauges()
            gauges["http.requests"] = Double(requests.count)
            gauges["http.seconds"] = requests.seconds
            let report = ReportProcess(process: name, instance: name.rawValue, readiness: readiness, gauges: gauges)
            // `try?`: the monitor may be away; it hears the next report.
            _ = try? await client.call(report, timeout: .seconds(1))
        }
        let verification: [any Service] =
            self.authEndpoints.map { [verifier] endpoints in
                [
                    verifier,
                    Subscriber(publishers: [.auth: endpoints], logger: self.logger) { events, _ in verifier.hear(events)
                    },
                ]
            } ?? []
        self.router.refuseOtherMethods()
        let server = Application(
            router: self.router, server: .proxiedHTTP1(self.proxyHeaders),
            configuration: .init(address: .hostname(self.http.host, port: self.http.port), serverName: "crosspoint"),
            logger: self.logger)
        let own: [any Service] = [
            self.client, self.database, self.logDatabase, self.replayDatabase, self.writer, self.commands, announcer,
            reporter,
        ]
        return own + verification + duties + [server]
    }

    /// Publishes telemetry: not logged, not numbered.
    public func publishTransient(_ payload: some EventPayload, tenant: String, room: String = "") async {
        await self.publisher.publish([Event(payload, tenant: tenant, room: room, publisher: self.name)])
    }

    private func answerReplays() {
        let log = self.replays
        self.commands.answer(ReplayRequest.name, from: .all) { bytes in
            guard let request = try? JSON.decode(ReplayRequest.self, from: bytes) else {
                // `try?`: what is wrong with it is the asker's business.
                throw CommandFailure(.invalid, "not a replay request")
            }
            do {
                return try await log.page(for: request).bytes
            } catch let error as DatabaseError {
                throw CommandFailure(.unavailable, "\(error)")
            }
        }
    }
}

extension ReportProcess {
    public init(process: ServiceName, instance: String, readiness: Readiness, gauges: [String: Double]) {
        let status = readiness.status
        self.init(
            process: process, instance: instance, pid: ProcessIdentifier.own, isReady: status.isReady,
            dependencies: status.dependencies, gauges: gauges)
    }
}
