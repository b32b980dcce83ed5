import Database
import DomainService
import Events
import ServiceKit
import ServiceLifecycle

/// Stations and their mounts, and what is on air there.
@main
struct RadioPlayout {
    static func main() async {
        await ServiceProcess.run("radio-playout") { process in try Self.make(process).parts() }
    }

    /// The service with all its routes, and everything that runs once they are served.
    static func make(_ process: ServiceProcess) throws -> (service: DomainService, parts: () -> [any Service]) {
        let config = try RadioPlayoutConfig(process.config)
        let service = try DomainService(
            .radioPlayout, process,
            migrations: [
                Migration(
                    name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self))
            ],
            openAPI: PackageResources.openapi_yaml, shape: RadioErrorShape.shape)
        let stations = Stations(database: service.database, writer: service.writer)
        let plays = Plays(
            database: service.database, writer: service.writer, retention: config.historyRetention,
            logger: service.logger)
        StationsAPI(stations: stations).add(to: service.router)
        MountsAPI(stations: stations).add(to: service.router)
        PublicAPI(stations: stations, plays: plays).add(to: service.router)
        WebhooksAPI(stations: stations, plays: plays).add(to: service.router)
        let housekeeping = PeriodicDuty(every: .seconds(3600)) { await plays.dropOld() }
        return (service, { service.parts(with: [housekeeping]) })
    }
}
