import Access
import Bus
import Database
import Events
import HTTPTypes
import ServiceKit

/// The cameras' streams: what is known of them, and what can be done to them. There is no capture backend yet, so a stream can be
/// asked about and (being stopped) stopped; everything else is refused, not pretended.
struct CameraStreams: Sendable {
    let database: Database
    let cameras: Cameras

    enum Action: String, CaseIterable {
        case start, stop, restart, status
        case setQuality = "set_quality"
    }

    func status(of camera: String, tenant: String) async throws -> StreamStatus {
        let camera = try await self.cameras.camera(camera, tenant: tenant)
        let rows = try await self.database.query(
            "SELECT * FROM camera_streams WHERE camera_id = \(camera.id) ORDER BY stopped_at DESC NULLS FIRST LIMIT 1")
        guard let row = rows.first else {
            return StreamStatus(
                cameraID: camera.id, streamID: nil, status: .stopped, event: .status, quality: nil, error: nil,
                timestamp: Timestamp.now.seconds)
        }
        return try StreamStatus(row)
    }

    /// The streams of a tenant's cameras that run now.
    func active(tenant: String) async throws -> [StreamStatus] {
        try await self.database.query(
            "SELECT * FROM camera_streams WHERE tenant = \(tenant) AND stopped_at IS NULL AND status = 'active' ORDER BY id"
        ).map { try StreamStatus($0) }
    }

    /// Carries out an action and returns the status after it.
    func control(_ camera: String, action: String, settings: JSON?, by principal: Principal) async throws
        -> StreamStatus
    {
        guard let action = Action(rawValue: action) else {
            let actions = Action.allCases.map(\.rawValue).sorted().joined(separator: ", ")
            throw APIFailure(.badRequest, code: "INVALID_ACTION", "action must be one of \(actions)")
        }
        let scope = action == .status ? Scope.camerasRead : .camerasControl
        guard principal.permits(scope, on: .camera(camera)) else { throw APIFailure(lacking: scope, principal) }
        try Self.check(settings, for: action)
        let status = try await self.status(of: camera, tenant: principal.tenant)
        switch action {
        case .status: return status
        case .stop where status.status == .stopped: return status
        case .start, .stop, .restart, .setQuality:
            throw APIFailure(.conflict, code: "CONTROL_FAILED", "no capture backend in this version")
        }
    }

    private static func check(_ settings: JSON?, for action: Action) throws(APIFailure) {
        let settings = settings == .null ? nil : settings
        let read = try settings.map { json throws(APIFailure) in try CameraSettings(json) }
        if action == .setQuality, read?.isEmpty ?? true {
            throw APIFailure(.badRequest, code: "INVALID_SETTINGS", "set_quality needs settings")
        }
    }

    /// The gateway's side of it.
    func answerCommands(_ commands: CommandServer) {
        commands.answer(ControlCamera.self) { command in
            do {
                let status = try await self.control(
                    command.camera, action: command.action, settings: command.settings, by: command.sender)
                return ControlCamera.Answer(status: try JSON(status))
            } catch {
                throw CommandFailure(error)
            }
        }
        commands.answer(ActiveCameras.self) { command in
            do {
                return ActiveCameras.Answer(
                    statuses: try await self.active(tenant: command.tenant).map { try JSON($0) })
            } catch {
                throw CommandFailure(error)
            }
        }
    }
}

extension StreamStatus {
    fileprivate init(_ row: Row) throws {
        let status: String = try row.decode("status")
        let quality: JSON? = try row.decode("quality")
        let fault: JSON? = try row.decode("last_error")
        guard let status = Status(rawValue: status) else { throw DatabaseError.decoding("camera_streams.status") }
        self.init(
            cameraID: try row.decode("camera_id"), streamID: try row.decode("id"), status: status, event: .status,
            quality: try quality.map { try JSON.decode(Quality.self, from: $0.bytes) },
            error: try fault.map { try JSON.decode(Fault.self, from: $0.bytes) }, timestamp: Timestamp.now.seconds)
    }
}

extension JSON {
    fileprivate init(_ status: StreamStatus) throws { self = try JSON.decode(JSON.self, from: JSON.encode(status)) }
}

extension CommandFailure {
    /// What a failure of this service means to an asker on the bus.
    init(_ error: any Error) {
        guard let failure = error as? APIFailure else {
            let isAway = (error as? DatabaseError)?.isUnavailable ?? false
            self = isAway ? Self(.unavailable, "The database is not available") : Self(.internalError, "internal error")
            return
        }
        switch failure.status {
        case .notFound: self.init(.notFound, failure.message)
        case .forbidden: self.init(.forbidden, failure.message)
        case .conflict: self.init(.conflict, failure.message)
        default: self.init(.invalid, failure.message)
        }
    }
}
