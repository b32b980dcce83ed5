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
        let read = try await Channel.read(channel, at: moment, in: self.database)
        guard read.channel.isOver else { return Self.json(read.channel, read.session) }
        return try await self.writer.write { mutation in
            try await Self.json(try await Channel.open(channel, at: moment, in: mutation), in: mutation)
        }
    }

    func settings(_ channel: String) async throws -> JSON {
        try await Channel.read(channel, at: .now, in: self.database).channel.settings.json
    }

    private static func json(_ channel: Channel, in mutation: Mutation) async throws -> JSON {
        Self.json(channel, try await channel.session(in: mutation))
    }

    private static func json(_ channel: Channel, _ session: [String: JSON]) -> JSON {
        [
            "channel": .string(channel.id), "provider": .string(Self.provider), "settings": channel.settings.json,
            "data": .object(Self.whole(session)), "sessionEventsCount": .integer(Int64(channel.sessionEventsCount)),
            "sessionBegan": .string(channel.sessionBegan.iso8601), "weekBegan": .string(channel.week.iso8601),
            "monthBegan": .string(channel.month.iso8601),
        ]
    }

    /// Every standard key, and whatever else has a value.
    private static func whole(_ session: [String: JSON]) -> [String: JSON] {
        SessionFamily.standard.merging(session) { _, changed in changed }
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
            Self.say(changes, over: old, channel.id, at: moment, in: mutation)
            return try await Self.json(channel, in: mutation)
        }
    }

    func reset(_ channel: String) async throws -> JSON {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            try await Self.reset(try await Channel.open(channel, at: moment, in: mutation), at: moment, in: mutation)
            return try await Self.json(try await Channel.open(channel, at: moment, in: mutation), in: mutation)
        }
    }

    func change(_ patch: SessionSettingsPatch, _ channel: String) async throws -> JSON {
        // Outside of the writer: it reads every file of time zones that there is.
        if let timezone = patch.timezone,
            try await self.database.query("SELECT FROM pg_timezone_names WHERE name = \(timezone)").isEmpty
        {
            throw SessionSettingsPatch.unknown(timezone)
        }
        return try await self.writer.write { mutation in
            let old = try await Channel.open(channel, at: .now, in: mutation).settings
            let settings = SessionSettings(
                timezone: patch.timezone ?? old.timezone,
                resetAfterHours: patch.resetAfterHours ?? old.resetAfterHours)
            _ = try await mutation.query(
                """
                UPDATE channels SET timezone = \(settings.timezone), reset_after_hours = \(settings.resetAfterHours)
                WHERE tenant = \(channel)
                """)
            // In another time zone another week may have begun.
            return try await Channel.open(channel, at: .now, in: mutation).settings.json
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
        Self.say(
            changes, over: old, activity: contribution.activity, by: contribution.provider, channel.id, at: moment,
            in: mutation)
    }

    private static func contribute(
        _ amount: Double, of name: String, to family: String, in spans: [String], _ channel: String,
        _ mutation: Mutation
    ) async throws -> [Row] {
        try await mutation.query(
            """
            INSERT INTO session_contributors (tenant, family, span, name, amount)
            SELECT \(channel)::text, \(family)::text, span, \(name)::text, \(amount) FROM unnest(\(spans)) AS span
            ON CONFLICT (tenant, span, family, name) DO UPDATE
                SET amount = session_contributors.amount + EXCLUDED.amount
            RETURNING span, amount
            """)
    }

    // MARK: periods

    /// Begins a new session.
    private static func reset(_ channel: Channel, at moment: Timestamp, in mutation: Mutation) async throws {
        _ = try await Self.clear(.session, of: channel.id, in: mutation)
        _ = try await mutation.query(
            "UPDATE channels SET session_events_count = 0, session_began = \(moment) WHERE tenant = \(channel.id)")
        // Without lists and messages, which are no news and would fill a client's buffer (contract astro §1).
        let map = Self.whole(try await channel.session(in: mutation)).compactMapValues { value in
            value.object.map { JSON.object($0.filter { Self.toldOnReset.contains($0.key) }) }
        }
        // Both forms, the newer flat one and the one that older clients read (contract astro §11.3).
        var data = map
        data["session"] = .object(map)
        mutation.emit(
            Event(
                "channel.session.reset", .object(data), tenant: channel.id, room: channel.id, publisher: .streamMetrics,
                time: moment))
    }

    private static let toldOnReset: Set = [
        "name", "displayName", "amount", "currency", "count", "percent", "tier", "level", "active",
    ]

    /// Begins a new session when the channel goes live after it was offline for as long as its settings say.
    static func goesLive(_ channel: String, at moment: Timestamp, in mutation: Mutation) async throws {
        let rows = try await mutation.query(
            """
            SELECT FROM channels WHERE tenant = \(channel)
                AND \(moment) >= offline_since + make_interval(hours => reset_after_hours)
            """)
        guard !rows.isEmpty else { return }
        try await Self.reset(try await Channel.open(channel, at: moment, in: mutation), at: moment, in: mutation)
    }

    /// Remembers when the channel was live last.
    static func goesOffline(_ channel: String, at moment: Timestamp, in mutation: Mutation) async throws {
        _ = try await mutation.query("UPDATE channels SET offline_since = \(moment) WHERE tenant = \(channel)")
    }

    /// Empties the sums of a week or a month that is over.
    static func roll(_ channel: Channel, at moment: Timestamp, in mutation: Mutation) async throws {
        var emptied: [String] = []
        if channel.isWeekOver { emptied += try await Self.clear(.week, of: channel.id, in: mutation) }
        if channel.isMonthOver { emptied += try await Self.clear(.month, of: channel.id, in: mutation) }
        _ = try await mutation.query(
            """
            UPDATE channels SET week_began = \(channel.isWeekOver ? channel.week : channel.weekBegan),
                month_began = \(channel.isMonthOver ? channel.month : channel.monthBegan)
            WHERE tenant = \(channel.id)
            """)
        Self.say(
            emptied.sorted().map { (key: $0, value: SessionFamily.empty[$0] ?? .null) }, over: nil, channel.id,
            at: moment, in: mutation)
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
            let moment = Timestamp.now
            do {
                let due = try await self.database.query(
                    "SELECT tenant FROM channels WHERE \(Channel.isOver(at: moment))")
                _ = try await due.mapConcurrently { row in
                    let channel: String = try row.decode("tenant")
                    do {
                        _ = try await self.writer.write { try await Channel.open(channel, at: moment, in: $0) }
                    } catch {
                        // The others' are over all the same.
                        self.logger.warning(
                            "A session was not rolled over", metadata: ["channel": "\(channel)", "error": "\(error)"])
                    }
                }
            } catch {
                self.logger.info("Sessions were not rolled over", metadata: ["error": "\(error)"])
            }
        }
    }

    // MARK: currency

    /// Begins the sums of money anew, in another currency.
    static func forgetMoney(_ channel: Channel, at moment: Timestamp, in mutation: Mutation) async throws {
        let families = SessionFamily.money.map(\.name)
        _ = try await mutation.query(
            "DELETE FROM session_contributors WHERE tenant = \(channel.id) AND family = ANY(\(families))")
        let keys = SessionFamily.money.flatMap(\.amountKeys)
        let old = try await Self.read(keys, of: channel.id, in: mutation)
        let changes = keys.filter { old[$0] != nil }.map { key in
            // What was counted stays counted.
            (
                key: key,
                value: JSON.object(
                    (SessionFamily.empty[key]?.object ?? [:]).merging(
                        ["count": old[key]?["count"]].compactMapValues(\.self)
                    ) { $1 })
            )
        }
        try await Self.store(changes, of: channel.id, in: mutation)
        Self.say(changes, over: old, channel.id, at: moment, in: mutation)
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
            SELECT \(channel)::text, key, data::json FROM unnest(\(changes.map(\.key)), \(texts)) AS changed (key, data)
            ON CONFLICT (tenant, key) DO UPDATE SET data = EXCLUDED.data
            """)
    }

    /// Says what has changed. Lists go unsaid: a client has them from what it heard.
    /// - Parameter old: as it was; `nil`: different, all of it.
    private static func say(
        _ changes: [(key: String, value: JSON)], over old: [String: JSON]?, activity: String? = nil,
        by provider: String = Self.provider, _ channel: String, at moment: Timestamp, in mutation: Mutation
    ) {
        for (key, value) in changes where old.map({ $0[key] ?? SessionFamily.empty[key] }) != value {
            guard var data = value.object else { continue }
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
}
