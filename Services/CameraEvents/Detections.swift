import Database
import Events
import Logging
import ServiceKit

/// The detections in the database.
struct Detections: Sendable {
    let database: Database
    let writer: EventWriter
    let retention: Duration
    let logger: Logger

    /// Stores detections and publishes them, all or none. Throws 404 when the camera has gone meanwhile.
    func add(_ drafts: [DetectionDraft], to camera: Camera, tenant: String) async throws -> [FaceDetected] {
        let (faces, now) = (drafts.map { $0.payload(camera: camera.id) }, Timestamp.now)
        let events = faces.map {
            Event($0, tenant: tenant, room: camera.id, publisher: .cameraEvents, time: now)
        }
        do {
            try await self.writer.write { mutation in
                _ = try await mutation.query(
                    """
                    INSERT INTO detections (id, tenant, camera_id, seen, received_at, data)
                    SELECT d.id, \(tenant), \(camera.id), d.seen, \(now), d.data
                    FROM unnest(\(faces.map(\.detectionID)), \(faces.map(\.timestamp)),
                        \(events.map { String(decoding: $0.data, as: UTF8.self) })) AS d(id, seen, data)
                    """)
                for event in events { mutation.emit(event) }
            }
        } catch DatabaseError.foreignKeyViolation {
            throw Cameras.unknown
        }
        return faces
    }

    /// The stored detections of a camera as they were published, newest first.
    func latest(_ limit: Int, of camera: Camera, since: Int64) async throws -> [JSON] {
        try await self.database.query(
            """
            SELECT data FROM detections WHERE camera_id = \(camera.id) AND seen >= \(since)
            ORDER BY seen DESC, id DESC LIMIT \(limit)
            """
        ).map { try JSON.decode(JSON.self, from: $0.decode("data")) }
    }

    func dropOld() async {
        let oldest = Timestamp.now + (.zero - self.retention)
        do {
            try await self.writer.write { mutation in
                _ = try await mutation.query("DELETE FROM detections WHERE received_at < \(oldest)")
            }
        } catch {
            self.logger.info("Old detections were not deleted", metadata: ["error": "\(error)"])
        }
    }
}
