import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// What happened in the channels. A channel's id is its tenant's.
struct Activities: Sendable {
    private let database: Database
    private let writer: EventWriter

    init(_ service: DomainService) {
        self.database = service.database
        self.writer = service.writer
    }

    func create(_ draft: ActivityDraft, tenant: String) async throws -> ChannelActivity {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            let channel = try await Channel.open(tenant, at: moment, in: mutation)
            return try await Self.insert(draft, in: channel, at: moment, in: mutation)
        }
    }

    /// Stores and says an activity, and adds it to its channel's session.
    /// Money is summed in one currency, which is that of the first
    /// activity that names one, unless the channel has chosen.
    static func insert(
        _ draft: ActivityDraft, in channel: Channel, at moment: Timestamp, in mutation: Mutation
    ) async throws -> ChannelActivity {
        let rows = try await mutation.query(
            """
            WITH session AS (
                UPDATE channels SET session_events_count = session_events_count + 1 WHERE tenant = \(channel.id)
                RETURNING session_events_count)
            INSERT INTO activities (id, tenant, type, provider, data, session_events_count, created_at, updated_at)
            SELECT \(HexID.new(at: moment)), \(channel.id), \(draft.kind.rawValue), \(draft.provider.rawValue),
                \(String(decoding: draft.data.bytes, as: UTF8.self))::json,
                session_events_count, \(moment), \(moment) FROM session RETURNING *
            """)
        guard let row = rows.first else { throw DatabaseError.decoding("an insert returned nothing") }
        let activity = try ChannelActivity(row)
        mutation.emit(Self.event(activity, moment))
        let currency = SessionFamily.money.contains(SessionFamily(draft.kind)) ? draft.currency : nil
        if let currency, channel.currency == nil {
            _ = try await mutation.query("UPDATE channels SET currency = \(currency) WHERE tenant = \(channel.id)")
        }
        let contribution = SessionContribution(
            activity, draft.kind, sums: currency == nil || currency == channel.currency ?? currency)
        try await Sessions.add(contribution, to: channel, at: moment, in: mutation)
        return activity
    }

    /// Newest first.
    /// - Parameter kinds: only of these; none: of all.
    func list(
        tenant: String, kinds: [ActivityKind], limit: Int, offset: Int, after: Timestamp?, before: Timestamp?
    ) async throws -> [ChannelActivity] {
        var query: Query = "SELECT * FROM activities WHERE tenant = \(tenant)"
        if !kinds.isEmpty { query += " AND type = ANY(\(kinds.map(\.rawValue)))" }
        if let after { query += " AND created_at > \(after)" }
        if let before { query += " AND created_at < \(before)" }
        query += " ORDER BY seq DESC LIMIT \(limit) OFFSET \(offset)"
        return try await self.database.query(query).map { row throws(DatabaseError) in try ChannelActivity(row) }
    }

    func get(_ id: String, tenant: String) async throws -> ChannelActivity {
        guard HexID.isID(id),
            let row = try await self.database.query("SELECT * FROM activities WHERE id = \(id) AND tenant = \(tenant)")
                .first
        else { throw Self.notFound }
        return try ChannelActivity(row)
    }

    /// Says an activity once more, as it is: it happened once.
    func replay(_ id: String, tenant: String) async throws -> ChannelActivity {
        try await self.writer.write { mutation in
            guard HexID.isID(id),
                let row = try await mutation.query("SELECT * FROM activities WHERE id = \(id) AND tenant = \(tenant)")
                    .first
            else { throw Self.notFound }
            let activity = try ChannelActivity(row)
            mutation.emit(Self.event(activity, .now))
            return activity
        }
    }

    private static let notFound = APIFailure(.notFound, "There is no such activity")

    private static func event(_ activity: ChannelActivity, _ moment: Timestamp) -> Event {
        Event(activity, tenant: activity.channel, room: activity.channel, publisher: .streamMetrics, time: moment)
    }
}
