import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// The stations and mounts in the database, and who may touch them.
struct Stations: Sendable {
    let database: Database
    let writer: EventWriter

    func all(for principal: Principal) async throws -> [Station] {
        let rows = try await self.database.query(
            "SELECT * FROM stations WHERE tenant = \(principal.tenant) ORDER BY name, id")
        return try rows.map { try Station($0) }.filter { principal.permits(.radioRead, on: .station($0.id)) }
    }

    /// Throws 404 for an unknown station or another tenant's, 403 for one that the credential does not cover.
    func station(_ id: String, _ scope: Scope, for principal: Principal) async throws -> Station {
        guard let station = try await self.find(id, tenant: principal.tenant) else { throw Self.unknown }
        guard principal.permits(scope, on: .station(id)) else { throw Self.denied }
        return station
    }

    func find(_ id: String, tenant: String) async throws -> Station? {
        guard Station.isID(id) else { return nil }
        return try await self.database.query("SELECT * FROM stations WHERE id = \(id) AND tenant = \(tenant)").first
            .map { try Station($0) }
    }

    /// Makes a station and its default mount.
    func create(_ draft: StationDraft, by principal: Principal) async throws -> Station {
        guard let name = draft.name else { throw APIFailure(.badRequest, code: "name_required", "name is required") }
        try await self.check(timezone: draft.timezone)
        let (id, mountID, now) = (Station.makeID(), Station.makeID(), Timestamp.now)
        return try await self.named("station_name_taken") {
            try await self.writer.write { mutation in
                let rows = try await mutation.query(
                    """
                    INSERT INTO stations
                        (id, tenant, name, description, timezone, active, public, owner_id, created_at, updated_at)
                    VALUES (\(id), \(principal.tenant), \(name), \(draft.description ?? ""), \(draft.timezone ?? "UTC"),
                        \(draft.isActive ?? true), \(draft.isPublic ?? true), \(principal.subject), \(now), \(now))
                    RETURNING *
                    """)
                let station = try Station(Self.one(rows))
                _ = try await mutation.query(
                    Self.insertion(
                        MountDraft(defaultFor: name), id: mountID, station: id, tenant: principal.tenant, at: now))
                return station
            }
        }
    }

    func change(_ station: Station, _ draft: StationDraft, by principal: Principal) async throws -> Station {
        try await self.check(timezone: draft.timezone)
        return try await self.named("station_name_taken") {
            try await self.writer.write { mutation in
                let rows = try await mutation.query(
                    """
                    UPDATE stations SET name = coalesce(\(draft.name)::text, name),
                        description = coalesce(\(draft.description)::text, description),
                        timezone = coalesce(\(draft.timezone)::text, timezone),
                        active = coalesce(\(draft.isActive), active), public = coalesce(\(draft.isPublic), public),
                        updated_at = \(Timestamp.now)
                    WHERE id = \(station.id) AND tenant = \(principal.tenant) RETURNING *
                    """)
                return try Station(Self.one(rows))
            }
        }
    }

    func mounts(of station: Station) async throws -> [Mount] {
        try await self.database.query("SELECT * FROM mounts WHERE station_id = \(station.id) ORDER BY created_at, id")
            .map { try Mount($0) }
    }

    func addMount(_ draft: MountDraft, to station: Station, by principal: Principal) async throws -> Mount {
        let (id, now) = (Station.makeID(), Timestamp.now)
        return try await self.named("mount_name_taken") {
            try await self.writer.write { mutation in
                let insertion = Self.insertion(draft, id: id, station: station.id, tenant: principal.tenant, at: now)
                return try Mount(Self.one(try await mutation.query(insertion)))
            }
        }
    }

    /// The stations that anybody may know of, each with its mounts.
    func listed(tenant: String) async throws -> [(Station, [Mount])] {
        let stations = try await self.database.query(
            "SELECT * FROM stations WHERE tenant = \(tenant) AND public AND active ORDER BY name, id"
        ).map { try Station($0) }
        let mounts = try await self.database.query(
            "SELECT * FROM mounts WHERE tenant = \(tenant) ORDER BY created_at, id"
        ).map { try Mount($0) }
        let mountsByStation = Dictionary(grouping: mounts, by: \.stationID)
        return stations.map { ($0, mountsByStation[$0.id] ?? []) }
    }

    static let unknown = APIFailure(.notFound, code: "not_found", "There is no such station")
    static let denied = APIFailure(
        .forbidden, code: "station_access_denied", "The credential does not cover the station")

    private static func insertion(_ draft: MountDraft, id: String, station: String, tenant: String, at now: Timestamp)
        -> Query
    {
        """
        INSERT INTO mounts
            (id, tenant, station_id, name, url, format, bitrate, channels, sample_rate, encoder_preset_id, created_at)
        VALUES (\(id), \(tenant), \(station), \(draft.name), \(draft.url), \(draft.format), \(draft.bitrate),
            \(draft.channels), \(draft.sampleRate), \(draft.encoderPreset), \(now))
        RETURNING *
        """
    }

    private static func one(_ rows: [Row]) throws(APIFailure) -> Row {
        // Gone between the look and the change.
        guard let row = rows.first else { throw Self.unknown }
        return row
    }

    /// Postgres keeps the IANA's list; a name that is not on it is refused.
    private func check(timezone: String?) async throws {
        guard let timezone else { return }
        let rows = try await self.database.query("SELECT 1 FROM pg_timezone_names WHERE name = \(timezone)")
        if rows.isEmpty { throw Members([:]).invalid("timezone", "is not a time zone") }
    }

    private func named<R>(_ code: String, _ body: () async throws -> R) async throws -> R {
        do {
            return try await body()
        } catch DatabaseError.uniqueViolation {
            throw APIFailure(.conflict, code: code, "The name is taken")
        }
    }
}
