import Bus
import Database
import DomainService
import Events
import Logging
import NIOConcurrencyHelpers
import ServiceKit
import ServiceLifecycle

/// How many watch, and how long: said every ten seconds for each live stream, and reported over a range of time.
struct Audience: Sendable {
    private let database: Database
    private let writer: EventWriter
    private let publisher: Publisher
    private let logger: Logger

    private static let interval = Duration.seconds(10)

    init(_ service: DomainService) {
        self.database = service.database
        self.writer = service.writer
        self.publisher = service.publisher
        self.logger = service.logger
    }

    // MARK: counting

    /// One more watches.
    static func joined(_ stream: String, in mutation: Mutation) async throws {
        _ = try await mutation.query(
            """
            UPDATE streams SET watching = watching + 1, total_views = total_views + 1,
                peak_viewers = greatest(peak_viewers, watching + 1) WHERE id = \(stream)
            """)
    }

    /// - Parameter watched: how long they did, together.
    static func left(_ stream: String, count: Int, watched: Duration, in mutation: Mutation) async throws {
        _ = try await mutation.query(
            """
            UPDATE streams SET watching = greatest(0, watching - \(count)), watched_ms = watched_ms + \(watched.milliseconds)
            WHERE id = \(stream)
            """)
    }

    // MARK: every ten seconds

    /// Says `analytics.update` for each live stream, ten seconds after its start and so on (contract wave §4).
    var announcing: any Service {
        let last = NIOLockedValueBox(Timestamp.now)
        return PeriodicDuty(every: .seconds(1)) {
            let now = Timestamp.now
            guard self.writer.isActive else { return last.withLockedValue { $0 = now } }
            do {
                let updates = try await self.updates(after: last.withLockedValue { $0 }, to: now)
                last.withLockedValue { $0 = now }
                if !updates.isEmpty { await self.publisher.publish(updates) }
            } catch {
                self.logger.debug("Viewers were not counted", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Those of the streams whose ten seconds were over between two moments.
    private func updates(after last: Timestamp, to now: Timestamp) async throws -> [Event] {
        let seconds = Double(Self.interval.components.seconds)
        return try await self.database.query(
            """
            SELECT id, tenant, watching, total_views, peak_viewers, watched_ms + coalesce((
                SELECT sum(extract(epoch FROM \(now) - joined_at) * 1000)::bigint
                FROM viewers WHERE stream = streams.id AND left_at IS NULL), 0) AS watched_ms
            FROM streams WHERE status = 'live'
                AND floor(extract(epoch FROM \(now) - started_at) / \(seconds)) > floor(extract(epoch FROM \(last) - started_at) / \(seconds))
                AND \(now) > started_at + interval '1 second' * \(seconds)
            """
        ).map { row in
            let (id, views): (String, Int64) = (try row.decode("id"), try row.decode("total_views"))
            let watched: Int64 = try row.decode("watched_ms")
            let update = AnalyticsUpdate(
                streamID: id, concurrentViewers: try row.decode("watching"), totalViews: views,
                peakViewers: try row.decode("peak_viewers"),
                averageWatchTime: views > 0 ? (Double(watched) / Double(views) / 100).rounded() / 10 : 0)
            return Event(update, tenant: try row.decode("tenant"), room: id, publisher: .streamMetrics, time: now)
        }
    }

    // MARK: over a range

    /// What was watched of a stream within a range of time; of a view that reaches beyond it, the part within counts.
    func report(_ stream: Stream, from start: Timestamp, to end: Timestamp) async throws -> AudienceReport {
        let seen: Query = """
            WITH seen AS (
                SELECT country, device, greatest(joined_at, \(start)) AS begins,
                    least(coalesce(left_at, \(Timestamp.now)), \(end)) AS ends
                FROM viewers WHERE stream = \(stream.id) AND joined_at < \(end) AND (left_at IS NULL OR left_at >= \(start)))
            """
        let groups = try await self.database.query(
            seen + """
                SELECT grouping(country, device) AS grouping, country, device, count(*) AS views,
                    coalesce(sum(greatest(0, extract(epoch FROM ends - begins))), 0)::float8 AS seconds
                FROM seen GROUP BY GROUPING SETS ((), (country), (device)) ORDER BY views DESC, country, device
                """)
        // Who leaves at the moment when somebody else comes is gone already.
        let peak = try await self.database.query(
            seen + """
                SELECT coalesce(max(watching), 0)::bigint AS peak FROM (
                    SELECT sum(step) OVER (ORDER BY moment, step) AS watching FROM (
                        SELECT begins AS moment, 1 AS step FROM seen UNION ALL SELECT ends, -1 FROM seen) AS steps) AS counts
                """
        ).first?.decode("peak", as: Int64.self)
        return try AudienceReport(stream: stream.id, start: start, end: end, groups: groups, peak: peak ?? 0)
    }
}
