import Access
import ArgumentParser
import Bus
import Configuration
import Dialects
import Events
import Hummingbird
import ServiceKit
import ServiceLifecycle

/// The edge: takes events from the bus and gives them to WebSocket clients, in the dialect that each of them speaks.
@main
struct Gateway: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway", abstract: "Serves the suite's events to WebSocket clients of five dialects.")

    @Option(help: "Event loops, one thread each.")
    var loops: Int?

    func run() async {
        let loops = self.loops
        // Clients have up to 25 seconds to go on elsewhere, and 3 to say goodbye.
        await ServiceProcess.run("gateway", shutdownMax: .seconds(29)) { process in
            let config = try GatewayConfig(process.config, loops: loops)
            let bus = try BusConfig(
                process.config, for: .gateway, portsBase: process.config.portsBase(),
                secret: process.config.secretKey(forKey: "bus.key.file"),
                peers: process.config.textFile(forKey: "bus.peers.file"))
            bus.warnIfOpen(process.logger)
            let commands = CommandClient(endpoints: bus.endpoints, logger: process.logger)
            let cache = AccessConfig(process.config).cache(for: "gateway.\(config.instance)", logger: process.logger)
            let verifier = CredentialVerifier(
                commands: commands, process: .gateway, cache: cache, logger: process.logger)
            let proxies = try TrustedProxies(process.config)
            let proxyHeaders = ProxyHeaderCheck(key: config.http.proxyKey, logger: process.logger)
            let anonymous = try AnonymousAccess(process.config)
            anonymous.warn(process.logger)
            config.http.warnIfExposed(proxies, process.logger)
            if config.tls == nil, config.http.proxyKey == nil {
                HTTPConfig.warnIfExposed(config.edgeHost, port: config.edgePort, proxies, process.logger)
            }
            let seats = SeatLeases(instance: config.instance, commands: commands)
            let tokens = await ReconnectTokens(
                key: config.reconnectKey, commands: commands, logger: process.logger)
            let enquiries = Enquiries(commands: commands, verifier: verifier, seats: seats, tokens: tokens)
            let census = Census()
            let publishers = HeardPublishers()
            let edge = try Edge(
                config: config, census: census, publishers: publishers, enquiries: enquiries, seats: seats,
                isRevoked: verifier.isRevoked, logger: process.logger)
            verifier.whenRevoked { edge.revoke($0) }
            let doorman = Doorman(
                census: census, verifier: verifier, proxies: proxies, allowsAnonymous: anonymous.isAllowed,
                origins: config.origins)
            let tls = try config.tls.map { try TLSTermination($0, threads: config.loops, logger: process.logger) }
            let acceptor = try Acceptor(
                config: config, doorman: doorman, edge: edge, tls: tls, proxyHeaders: proxyHeaders,
                logger: process.logger)
            let subscriber = Subscriber(
                publishers: bus.endpoints, logger: process.logger, heard: publishers, isCongested: { edge.isCongested }
            ) { events, isRepaired in
                verifier.hear(events)
                edge.deliver(events, isRepaired: isRepaired)
            }

            let readiness = Readiness()
            let start = ContinuousClock.now
            for publisher in ServiceName.publishers {
                readiness.observe("bus.\(publisher.rawValue)") {
                    PublisherReadiness.condition(of: publishers.state(of: publisher), start: start, now: .now)
                }
            }
            // Load balancers send new clients elsewhere while this one drains.
            readiness.require("edge") { !census.isDraining }
            readiness.require("auth-keys") { verifier.hasKeys }
            let reporter = PeriodicDuty(every: .seconds(2)) {
                let status = readiness.status
                let report = ReportProcess(
                    process: .gateway, instance: config.instance, pid: ProcessIdentifier.own,
                    isReady: status.isReady, dependencies: status.dependencies,
                    gauges: ["connections": Double(census.total)])
                // `try?`: the monitor may be away; it hears the next report.
                _ = try? await commands.call(report, timeout: .seconds(1))
            }
            let operators = OperatorsAPI.application(
                config: config, process: process, readiness: readiness, verifier: verifier, proxies: proxies,
                proxyHeaders: proxyHeaders, anonymous: anonymous.isAllowed ? .anonymous : nil, edge: edge,
                publishers: publishers)
            let parts: [any Service] = [commands, enquiries, seats, subscriber, reporter, verifier, operators]
            return parts + (tls.map { [$0] } ?? []) + [EdgeService(edge: edge, acceptor: acceptor)]
        }
    }
}
