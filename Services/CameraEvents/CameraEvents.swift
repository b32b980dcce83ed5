import Database
import DomainService
import Events
import ServiceKit
import ServiceLifecycle

/// Cameras, their streams, and what analysers see on them.
@main
struct CameraEvents {
    static func main() async {
        await ServiceProcess.run("camera-events") { process in try Self.make(process).parts() }
    }

    /// The service with all its routes, and everything that runs once they are served.
    static func make(_ process: ServiceProcess) throws -> (service: DomainService, parts: () -> [any Service]) {
        let config = try CameraEventsConfig(process.config)
        let service = try DomainService(
            .cameraEvents, process,
            migrations: [
                Migration(
                    name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self))
            ],
            openAPI: PackageResources.openapi_yaml, shape: CameraErrorShape.shape)
        let cameras = Cameras(database: service.database, writer: service.writer)
        let streams = CameraStreams(database: service.database, cameras: cameras)
        let detections = Detections(
            database: service.database, writer: service.writer, retention: config.detectionRetention,
            logger: service.logger)
        CamerasAPI(cameras: cameras).add(to: service.router)
        StreamsAPI(streams: streams).add(to: service.router)
        DetectionsAPI(cameras: cameras, detections: detections).add(to: service.router)
        streams.answerCommands(service.commands)
        let housekeeping = PeriodicDuty(every: .seconds(3600)) { await detections.dropOld() }
        return (service, { service.parts(with: [housekeeping]) })
    }
}
