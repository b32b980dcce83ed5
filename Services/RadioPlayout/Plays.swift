import Database
import Events
import Logging

/// The play history in the database.
struct Plays: Sendable {
    let database: Database
    let writer: EventWriter
    let retention: Duration
    let logger: Logger

    /// Ends what was on air, remembers what is now, and tells everybody in the playout system's own words.
    func start(_ payload: [UInt8], on station: Station, tenant: String) async throws {
        let (id, now) = (Station.makeID(), Timestamp.now)
        try await self.writer.write { mutation in
            _ = try await mutation.query(
                "UPDATE play_history SET ended_at = \(now) WHERE station_id = \(station.id) AND ended_at IS NULL")
            _ = try await mutation.query(
                """
                INSERT INTO play_history (id, tenant, station_id, payload, received_at)
                VALUES (\(id), \(tenant), \(station.id), \(payload), \(now))
                """)
            mutation.emit(Event(nowPlaying: payload, tenant: tenant, station: station.id, time: now))
        }
    }

    /// What started last on a station.
    func current(on station: Station) async throws -> Play? {
        try await self.database.query(
            "SELECT * FROM play_history WHERE station_id = \(station.id) AND ended_at IS NULL"
        ).first.map { try Play($0) }
    }

    func dropOld() async {
        let oldest = Timestamp.now + (.zero - self.retention)
        do {
            try await self.writer.write { mutation in
                _ = try await mutation.query(
                    "DELETE FROM play_history WHERE received_at < \(oldest) AND ended_at IS NOT NULL")
            }
        } catch {
            self.logger.info("Old plays were not deleted", metadata: ["error": "\(error)"])
        }
    }
}
