import Database
import DomainService
import Events
import HTTPTypes
import Logging
import ServiceKit
import ServiceLifecycle

/// The channels' sessions: what overlays show of their activities (contract astro §5, §11). Kept right by every activity and tip, and
/// corrected by hand.
struct Sessions: Sendable {
    private let database: Database
    private let writer: EventWriter
    private let logger: Logger

    init(_ service: DomainService) {
        self.database = service.database
        self.writer = service.writer
        self.logger = service.logger
    }

    // MARK: reading

    func get(_ channel: String) async throws -> JSON {
        let moment = Timestamp.now
        let rows = try await self.database.query(
            "SELECT \(Channel.columns(at: moment)) FROM channels WHERE tenant = \(channel)")
        if let read = try rows.first.map({ row throws(DatabaseError) in try Channel(row) }), !read.isOver {
            return Self.json(read, try await self.database.query(Self.values(of: channel)))
        }
        return try await self.writer.write { mutation in
            try await Self.json(try await Channel.open(channel, at: moment, in: mutation), in: mutation)
        }
    }

    func settings(_ channel: String) async throws -> JSON { try await self.get(channel)["settings"] ?? .null }

    private static func values(of channel: String) -> Query {
        "SELECT key, data FROM session_values WHERE tenant = \(channel)"
    }

    private static func json(_ channel: Channel, in mutation: Mutation) async throws -> JSON {
        Self.json(channel, try await mutation.query(Self.values(of: channel.id)))
    }

    private static func json(_ channel: Channel, _ rows: [Row]) -> JSON {
        [
            "channel": .string(channel.id), "provider": .string(Self.provider), "settings": channel.settings.json,
            "data": .object(Self.map(rows)), "sessionEventsCount": .integer(Int64(channel.sessionEventsCount)),
            "sessionBegan": .string(channel.sessionBegan.iso8601),
            "weekBegan": .string(max(channel.week, channel.weekBegan).iso8601),
            "monthBegan": .string(max(channel.month, channel.monthBegan).iso8601),
        ]
    }

    /// Every standard key, and whatever else has a value.
    private static func map(_ rows: [Row]) -> [String: JSON] {
        var values = SessionFamily.standard
        for row in rows {
            // `try?`: both columns are NOT NULL, and of the types that are asked for.
            if let key = try? row.decode("key", as: String.self), let value = try? row.decode("data", as: JSON.self) {
                values[key] = value
            }
        }
        return values
    }

    // MARK: by hand

    /// Sets what is named.
    func set(_ patch: SessionPatch, _ channel: String) async throws -> JSON {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            let channel = try await Channel.open(channel, at: moment, in: mutation)
            let keys = patch.values.keys.sorted()
            let old = try await Self.read(keys, of: channel.id, in: mutation)
            let changes = keys.map { key in
                (key: key, value: patch.value(of: key, over: old[key] ?? SessionFamily.empty[key] ?? .null))
            }
            try await Self.store(changes, of: channel.id, in: mutation)
            for (key, value) in changes where value != old[key] {
                Self.say(key, value, activity: nil, by: Self.provider, channel.id, at: moment, in: mutation)
            }
            return try await Self.json(channel, in: mutation)
        }
    }

    func reset(_ channel: String) async throws -> JSON {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            _ = try await Channel.open(channel, at: moment, in: mutation)
            try await Self.reset(channel, at: moment, in: mutation)
            return try await Self.json(try await Channel.open(channel, at: moment, in: mutation), in: mutation)
        }
    }

    func change(_ patch: SessionSettingsPatch, _ channel: String) async throws -> JSON {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            let old = try await Channel.open(channel, at: moment, in: mutation)
            let timezone = patch.timezone ?? old.settings.timezone
            let known = try await mutation.query(
                "SELECT FROM pg_timezone_names WHERE name = \(timezone) AND name NOT LIKE 'posix%' AND name <> 'Factory'"
            )
            guard !known.isEmpty else {
                throw APIFailure(
                    .badRequest, "timezone must be a name of the IANA database, such as Europe/Berlin",
                    details: ["field": "timezone"])
            }
            let settings = SessionSettings(
                timezone: timezone, resetAfterHours: patch.resetAfterHours ?? old.settings.resetAfterHours)
            // Its week is another one now, but what was counted in it stays.
            _ = try await mutation.query(
                """
                UPDATE channels SET timezone = \(timezone), reset_after_hours = \(settings.resetAfterHours),
                    week_began = date_trunc('week', \(moment), \(timezone)),
                    month_began = date_trunc('month', \(moment), \(timezone)) WHERE tenant = \(channel)
                """)
            return settings.json
        }
    }

    // MARK: by what happens

    /// Adds an activity to its channel's session, in the mutation that stores it.
    static func add(
        _ contribution: SessionContribution, to channel: Channel, at moment: Timestamp, in mutation: Mutation
    )
        async throws
    {
        let old = try await Self.read(contribution.keys, of: channel.id, in: mutation)
        var sums: [SessionSpan: Double] = [:]
        if let amount = contribution.amount {
            for row in try await Self.contribute(
                amount, of: contribution.name, to: contribution.family.name,
                in: SessionSpan.allCases.map(\.rawValue), channel.id, mutation)
            {
                if let span = SessionSpan(rawValue: try row.decode("span")) { sums[span] = try row.decode("amount") }
            }
        }
        var gifts = 0.0
        if let gift = contribution.gift {
            let rows = try await Self.contribute(
                1, of: gift.name, to: gift.family, in: [SessionSpan.total.rawValue], channel.id, mutation)
            gifts = try rows.first?.decode("amount") ?? 0
        }
        let changes = contribution.changes(of: old, sums: sums, gifts: gifts)
        try await Self.store(changes, of: channel.id, in: mutation)
        for (key, value) in changes where value != old[key] {
            Self.say(
                key, value, activity: contribution.activity, by: contribution.provider, channel.id, at: moment,
                in: mutation)
        }
    }

    private static func contribute(
        _ amount: Double, of name: String, to family: String, in spans: [String], _ channel: String,
        _ mutation: Mutation
    ) async throws -> [Row] {
        try await mutation.query(
            """
            INSERT INTO session_contributors (tenant, family, span, name, amount)
            SELECT \(channel)::text, \(family)::text, span, \(name)::text, \(amount) FROM unnest(\(spans)) AS span
            ON CONFLICT (tenant, family, span, name) DO UPDATE
                SET amount = session_contributors.amount + EXCLUDED.amount
            RETURNING span, amount
            """)
    }

    // MARK: periods

    /// Begins a new session.
    private static func reset(_ channel: String, at moment: Timestamp, in mutation: Mutation) async throws {
        _ = try await Self.clear(.session, of: channel, in: mutation)
        _ = try await mutation.query(
            "UPDATE channels SET session_events_count = 0, session_began = \(moment) WHERE tenant = \(channel)")
        // The lists are no news, and whole they would fill a client's buffer (contract astro §1).
        let map = Self.map(try await mutation.query(Self.values(of: channel))).filter { $0.value.array == nil }
        // Both forms, the newer flat one and the one that older clients read (contract astro §11.3).
        var data = map
        data["session"] = .object(map)
        mutation.emit(
            Event(
                "channel.session.reset", .object(data), tenant: channel, room: channel, publisher: .streamMetrics,
                time: moment))
    }

    /// Begins a new session when the channel goes live after it was offline for as long as its settings say.
    static func goesLive(_ channel: String, at moment: Timestamp, in mutation: Mutation) async throws {
        let rows = try await mutation.query(
            """
            SELECT FROM channels WHERE tenant = \(channel) AND reset_after_hours IS NOT NULL
                AND \(moment) >= ALL (SELECT max(ended_at) + make_interval(hours => reset_after_hours) FROM streams
                    WHERE streams.tenant = \(channel) AND streams.ended_at IS NOT NULL)
            """)
        guard !rows.isEmpty else { return }
        try await Self.reset(channel, at: moment, in: mutation)
    }

    /// Empties the sums of a week or a month that is over.
    static func roll(_ channel: Channel, at moment: Timestamp, in mutation: Mutation) async throws {
        guard channel.isOver else { return }
        var emptied: [String] = []
        if channel.week > channel.weekBegan {
            emptied += try await Self.clear(.week, of: channel.id, in: mutation)
        }
        if channel.month > channel.monthBegan {
            emptied += try await Self.clear(.month, of: channel.id, in: mutation)
        }
        _ = try await mutation.query(
            """
            UPDATE channels SET week_began = greatest(week_began, \(channel.week)),
                month_began = greatest(month_began, \(channel.month)) WHERE tenant = \(channel.id)
            """)
        for key in emptied.sorted() {
            guard let value = SessionFamily.empty[key] else { continue }
            Self.say(key, value, activity: nil, by: Self.provider, channel.id, at: moment, in: mutation)
        }
    }

    /// Forgets what was counted in a period; says in which keys.
    private static func clear(_ span: SessionSpan, of channel: String, in mutation: Mutation) async throws -> [String] {
        _ = try await mutation.query(
            "DELETE FROM session_contributors WHERE tenant = \(channel) AND span = \(span.rawValue)")
        return try await mutation.query(
            """
            DELETE FROM session_values WHERE tenant = \(channel)
                AND (key LIKE \("%-\(span.sum)") OR key LIKE \("%-\(span.topDonation)") OR key LIKE \("%-\(span.topDonator)"))
            RETURNING key
            """
        ).map { row throws(DatabaseError) in try row.decode("key") }
    }

    /// Notices when a channel's week or month is over, also where nothing happens.
    var rolling: any Service {
        PeriodicDuty(every: .seconds(5)) {
            guard self.writer.isActive else { return }
            do {
                let moment = Timestamp.now
                let due = try await self.database.query(
                    """
                    SELECT tenant FROM channels WHERE date_trunc('week', \(moment), timezone) > week_began
                        OR date_trunc('month', \(moment), timezone) > month_began
                    """)
                for row in due {
                    let channel: String = try row.decode("tenant")
                    _ = try await self.writer.write { mutation in
                        _ = try await Channel.open(channel, at: moment, in: mutation)
                    }
                }
            } catch {
                self.logger.debug("Sessions were not rolled over", metadata: ["error": "\(error)"])
            }
        }
    }

    // MARK: values

    private static let provider = ActivityProvider.streamElements.rawValue

    private static func read(_ keys: [String], of channel: String, in mutation: Mutation) async throws
        -> [String: JSON]
    {
        let rows = try await mutation.query(
            "SELECT key, data FROM session_values WHERE tenant = \(channel) AND key = ANY(\(keys))")
        return try rows.reduce(into: [:]) {
            $0[try $1.decode("key", as: String.self)] = try $1.decode("data", as: JSON.self)
        }
    }

    private static func store(
        _ changes: [(key: String, value: JSON)], of channel: String, in mutation: Mutation
    ) async throws {
        let texts = changes.map { String(decoding: $0.value.bytes, as: UTF8.self) }
        _ = try await mutation.query(
            """
            INSERT INTO session_values (tenant, key, data)
            SELECT \(channel)::text, key, data::jsonb FROM unnest(\(changes.map(\.key)), \(texts)) AS changed (key, data)
            ON CONFLICT (tenant, key) DO UPDATE SET data = EXCLUDED.data
            """)
    }

    /// Lists go unsaid: a client has them from what it heard.
    private static func say(
        _ key: String, _ value: JSON, activity: String?, by provider: String, _ channel: String, at moment: Timestamp,
        in mutation: Mutation
    ) {
        guard var data = value.object else { return }
        if let activity { data["activityId"] = .string(activity) }
        let update: JSON = [
            "key": .string(key), "name": .string(key), "data": .object(data), "provider": .string(provider),
            "channel": .string(channel),
        ]
        mutation.emit(
            Event(
                "channel.session.update", update, tenant: channel, room: channel, publisher: .streamMetrics,
                time: moment))
    }
}

/// What is set of a session by hand.
struct SessionPatch: Sendable {
    let values: [String: JSON]

    private static let valueBytesMax = 8192

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireNoNUL()
        guard !body.isEmpty else { throw APIFailure(.badRequest, "The body must have the keys to set") }
        for key in body.keys.sorted() {
            guard let empty = SessionFamily.empty[key] else {
                throw members.invalid(String(key.prefix(64)), "is no key of a session")
            }
            guard let value = body[key], value.bytes.count <= Self.valueBytesMax else {
                throw members.invalid(key, "must have at most \(Self.valueBytesMax) bytes")
            }
            if empty.array != nil {
                guard let list = value.array, list.count <= SessionContribution.recentMax,
                    list.allSatisfy({ $0.object != nil })
                else {
                    throw members.invalid(
                        key, "must be a list of at most \(SessionContribution.recentMax) objects")
                }
            } else {
                let inner = try members.require(key, try members.members(key))
                _ = try inner.text("name", 0...200)
                for name in ["amount", "count", "percent"] { _ = try inner.number(name, 0...1e15) }
            }
        }
        self.values = body
    }

    /// Of a sum, what is not named stays; of everything else nothing does.
    func value(of key: String, over old: JSON) -> JSON {
        guard let value = self.values[key] else { return old }
        guard let empty = SessionFamily.empty[key]?.object, empty["name"] == nil, let new = value.object else {
            return value
        }
        return .object((old.object ?? [:]).merging(new) { _, new in new })
    }
}
