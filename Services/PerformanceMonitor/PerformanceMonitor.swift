import Bus
import Database
import DomainService
import Events
import Hummingbird
import ServiceKit
import ServiceLifecycle

@main
struct PerformanceMonitor {
    static func main() async {
        await ServiceProcess.run("performance-monitor") { process in try Self.make(process).parts() }
    }

    /// The service with all its routes, and everything that runs once they are served.
    static func make(_ process: ServiceProcess) throws -> (service: DomainService, parts: () -> [any Service]) {
        let config = try PerformanceMonitorConfig(process.config)
        let service = try DomainService(
            .performanceMonitor, process, migrations: Migrations.all, openAPI: PackageResources.openapi_yaml,
            anonymous: .anonymous, shape: sourceSaverError)
        let monitor = Monitor(
            database: service.database, writer: service.writer, publisher: service.publisher, grace: config.grace,
            logger: service.logger)
        service.commands.answer(ReportProcess.self) { report, asker in
            try report.process.checkRole(asker)
            await monitor.hear(report)
            return ReportProcess.Answer()
        }
        HealthAPI(monitor: monitor, config: config).add(to: service.router)
        SystemAPI(monitor: monitor, config: config).add(to: service.router)
        let measuring = PeriodicDuty(every: config.interval) { await monitor.measure() }
        let watching = PeriodicDuty(every: Monitor.checkInterval) { await monitor.checkHealth() }
        return (service, { service.parts(with: [measuring, watching]) })
    }
}

enum Migrations {
    static let all = [
        Migration(name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self))
    ]
}
