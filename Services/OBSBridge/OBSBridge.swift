import Bus
import Database
import DomainService
import Events
import Hummingbird
import ServiceKit
import ServiceLifecycle
import WebSockets

/// Source Saver's sources, and the links to OBS that they are placed in.
@main
struct OBSBridge {
    static func main() async {
        await ServiceProcess.run("obs-bridge") { process in try Self.make(process).parts() }
    }

    /// The service with all its routes, and everything that runs once they are served.
    static func make(_ process: ServiceProcess) throws -> (service: DomainService, parts: () -> [any Service]) {
        let config = try OBSBridgeConfig(process.config)
        let service = try DomainService(
            .obsBridge, process, migrations: Migrations.all, openAPI: PackageResources.openapi_yaml,
            anonymous: .anonymous,
            shape: sourceSaverError)
        let sources = Sources(service)
        let seal = PasswordSeal(key: config.secretsKey)
        let connections = OBSConnections(service, seal: seal)
        let pages = SourcePages(publicURL: config.publicURL, secret: config.secretsKey)
        let samples = Samples(service, interval: config.samplesInterval, retention: config.samplesRetention)
        let audit = CommandAudit(service, retention: config.auditRetention)
        let keepers = ConnectionKeepers(
            service,
            ConnectionKeeper.Parts(
                loop: try ClientLoop(
                    name: "obs-links", certificates: config.certificates, messageBytesMax: 32 * 1024 * 1024),
                connections: connections, crashes: CrashGuard(writer: service.writer), placements: Placements(service),
                sources: sources, pages: pages,
                samples: samples,
                streams: StreamFeed(client: service.client, connections: connections, logger: service.logger),
                logger: service.logger,
                publish: { [publisher = service.publisher] update, connection in
                    await publisher.publish([
                        Event(update, tenant: connection.tenant, room: connection.name, publisher: .obsBridge)
                    ])
                }))
        let target = OBSTarget(connections: connections, keepers: keepers)

        SourcePagesAPI(sources: sources, pages: pages).add(to: service.router)
        service.router.middlewares.add(RateLimitMiddleware(config.rateLimit))
        SourcesAPI(sources: sources, samples: samples, keepers: keepers).add(to: service.router)
        ConnectionsAPI(connections: connections, keepers: keepers, target: target, audit: audit)
            .add(to: service.router)
        ProgramAPI(target: target, audit: audit).add(to: service.router)
        ScenesAPI(sources: sources, target: target, audit: audit).add(to: service.router)
        OutputsAPI(target: target, audit: audit).add(to: service.router)
        let cleaning = PeriodicDuty(every: .seconds(3600)) {
            // `try?`: what is old stays for another hour.
            try? await samples.dropOld()
            try? await audit.dropOld()
            try? await sources.forgetDeleted()
        }
        return (
            service,
            {
                service.parts(with: [keepers, cleaning]) {
                    await sources.gauges().merging(keepers.gauges()) { $1 }
                }
            }
        )
    }
}

enum Migrations {
    static let all = [
        Migration(name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self)),
        Migration(name: "0002-obs", sql: String(decoding: PackageResources._002_obs_sql, as: UTF8.self)),
        Migration(name: "0003-crashes", sql: String(decoding: PackageResources._003_crashes_sql, as: UTF8.self)),
        Migration(
            name: "0004-stream-tier", sql: String(decoding: PackageResources._004_stream_tier_sql, as: UTF8.self)),
    ]
}
