import Database
import DomainService
import Events
import ForeignMessages
import Logging
import NIOConcurrencyHelpers

/// How an OBS fared while a source was active in it. OBS measures itself and not its sources, so each source's samples are those of the OBS
/// that shows it.
final class Samples: Sendable {
    struct Sample: Sendable, Encodable {
        var timestamp: String
        var cpuUsage: Double
        var memoryUsage: Double
        var renderTime: Double
        var fps: Double
    }

    private let database: Database
    private let writer: EventWriter
    private let partitions: DailyPartitions
    private let interval: Duration
    private let logger: Logger
    /// When each connection's last ones were taken.
    private let last = NIOLockedValueBox<[String: ContinuousClock.Instant]>([:])

    init(_ service: DomainService, interval: Duration, retention: Duration) {
        self.database = service.database
        self.writer = service.writer
        self.partitions = DailyPartitions("samples", writer: service.writer, retention: retention)
        self.interval = interval
        self.logger = service.logger
    }

    /// Keeps a measurement for each active source of that OBS, if it is time for one.
    func add(_ stats: OBSStats, _ studio: Studio) async {
        let connection = studio.connection.id
        let isDue = self.last.withLockedValue { last -> Bool in
            let now = ContinuousClock.now
            if let time = last[connection], now - time < self.interval - .seconds(1) { return false }
            last[connection] = now
            return true
        }
        guard isDue else { return }
        do {
            let inputs = try await studio.perform { Array($0.inputs.keys) }
            guard !inputs.isEmpty else { return }
            try await self.partitions.ensure(stats.measuredAt)
            try await self.writer.write { mutation in
                _ = try await mutation.query(
                    """
                    INSERT INTO samples (source, connection, time, cpu, memory, render_time, fps)
                    SELECT id, \(connection), \(stats.measuredAt), \(stats.payload.cpuUsage), \(stats.payload.memoryUsage),
                        \(stats.payload.renderTime), \(stats.payload.fps) FROM sources WHERE id = ANY (\(inputs)) AND is_active
                    """)
            }
        } catch {
            self.logger.debug("A sample was not kept", metadata: ["error": "\(error)"])
        }
    }

    /// The newest first.
    func list(_ source: String, hours: Int) async throws -> [Sample] {
        let since = Timestamp.now - .seconds(Int64(hours) * 3600)
        return try await self.database.query(
            """
            SELECT time, cpu, memory, render_time, fps FROM samples WHERE source = \(source) AND time >= \(since)
            ORDER BY time DESC
            """
        ).map { row throws(DatabaseError) in try Sample(row) }
    }

    func latest(_ source: String) async throws -> Sample? {
        try await self.database.query(
            """
            SELECT time, cpu, memory, render_time, fps FROM samples WHERE source = \(source) ORDER BY time DESC LIMIT 1
            """
        ).first.map { row throws(DatabaseError) in try Sample(row) }
    }

    func dropOld() async throws { try await self.partitions.dropOld() }
}

extension Samples.Sample {
    fileprivate init(_ row: Row) throws(DatabaseError) {
        self.timestamp = try row.decode("time", as: Timestamp.self).iso8601
        self.cpuUsage = try row.decode("cpu")
        self.memoryUsage = try row.decode("memory")
        self.renderTime = try row.decode("render_time")
        self.fps = try row.decode("fps")
    }
}
