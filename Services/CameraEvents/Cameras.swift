import Database
import Events
import HTTPTypes
import ServiceKit

/// The cameras in the database.
struct Cameras: Sendable {
    let database: Database
    let writer: EventWriter

    func all(tenant: String) async throws -> [Camera] {
        try await self.database.query("SELECT * FROM cameras WHERE tenant = \(tenant) ORDER BY created_at, id")
            .map { try Camera($0) }
    }

    /// Throws 404 for an unknown camera or another tenant's.
    func camera(_ id: String, tenant: String) async throws -> Camera {
        guard Camera.isID(id) else { throw Self.unknown }
        let rows = try await self.database.query("SELECT * FROM cameras WHERE id = \(id) AND tenant = \(tenant)")
        return try Camera(Self.one(rows))
    }

    func create(_ draft: CameraDraft, tenant: String) async throws -> Camera {
        guard let name = draft.name else { throw APIFailure(.badRequest, "name is required") }
        guard let source = draft.sourceURL else { throw APIFailure(.badRequest, "source_url is required") }
        let (id, now, settings) = (Camera.makeID(), Timestamp.now, (draft.settings ?? CameraSettings()).json)
        return try await self.writer.write { mutation in
            let rows = try await mutation.query(
                """
                INSERT INTO cameras (id, tenant, name, source_url, location, enabled, settings, created_at, updated_at)
                VALUES (\(id), \(tenant), \(name), \(source), \(draft.location), \(draft.isEnabled ?? true), \(settings),
                    \(now), \(now))
                RETURNING *
                """)
            return try Camera(Self.one(rows))
        }
    }

    func change(_ id: String, _ draft: CameraDraft, tenant: String) async throws -> Camera {
        guard Camera.isID(id) else { throw Self.unknown }
        return try await self.writer.write { mutation in
            let rows = try await mutation.query(
                """
                UPDATE cameras SET name = coalesce(\(draft.name)::text, name),
                    source_url = coalesce(\(draft.sourceURL)::text, source_url),
                    location = CASE WHEN \(draft.setsLocation) THEN \(draft.location)::text ELSE location END,
                    enabled = coalesce(\(draft.isEnabled), enabled),
                    settings = settings || coalesce(\(draft.settings?.json), '{}'), updated_at = \(Timestamp.now)
                WHERE id = \(id) AND tenant = \(tenant) RETURNING *
                """)
            return try Camera(Self.one(rows))
        }
    }

    /// Deletes a camera with its streams and detections.
    func delete(_ id: String, tenant: String) async throws {
        guard Camera.isID(id) else { throw Self.unknown }
        try await self.writer.write { mutation in
            _ = try Self.one(
                try await mutation.query("DELETE FROM cameras WHERE id = \(id) AND tenant = \(tenant) RETURNING id"))
        }
    }

    static let unknown = APIFailure(.notFound, code: "CAMERA_NOT_FOUND", "There is no such camera")

    private static func one(_ rows: [Row]) throws(APIFailure) -> Row {
        guard let row = rows.first else { throw Self.unknown }
        return row
    }
}
