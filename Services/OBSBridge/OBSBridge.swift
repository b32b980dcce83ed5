import Database
import DomainService
import Events
import Hummingbird
import ServiceKit

@main
struct OBSBridge {
    static func main() async {
        await ServiceProcess.run("obs-bridge") { process in
            let config = try OBSBridgeConfig(process.config)
            let service = try DomainService(
                .obsBridge, process, migrations: Migrations.all, openAPI: PackageResources.openapi_yaml,
                anonymous: .anonymous,
                shape: sourceSaverError)
            let sources = Sources(service)
            service.router.middlewares.add(RateLimitMiddleware(config.rateLimit))
            SourcesAPI(sources: sources).add(to: service.router)
            OBSAPI().add(to: service.router)
            return service.parts(gauges: { await sources.gauges() })
        }
    }
}

enum Migrations {
    static let all = [
        Migration(name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self))
    ]
}
