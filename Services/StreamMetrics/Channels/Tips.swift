import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// The channels' tips: reported, moderated where the channel wants it, and then shown as what has happened (contract astro §5, §10).
struct Tips: Sendable {
    private let database: Database
    private let writer: EventWriter

    init(_ service: DomainService) {
        self.database = service.database
        self.writer = service.writer
    }

    /// A tip, and whether it is a new one: the same transaction of the same provider is the same tip. Throws 409 when it says otherwise.
    func create(_ draft: TipDraft, in channel: String) async throws -> (tip: Tip, isNew: Bool) {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            let channel = try await Channel.open(channel, at: moment, in: mutation)
            if let known = try await Self.find(draft, in: channel, mutation) {
                guard known.draft == draft else {
                    throw APIFailure(.conflict, "The transaction is known with other words, as tip \(known.id)")
                }
                return (known, false)
            }
            let tip = Tip(draft, in: channel, at: moment)
            _ = try await mutation.query(
                """
                INSERT INTO tips (id, tenant, username, email, geo, message, amount, currency, payment_method, provider,
                    transaction_id, imported, approved, created_at, updated_at)
                VALUES (\(tip.id), \(tip.channel), \(draft.username), \(draft.email), \(draft.geo), \(draft.message),
                    \(draft.amount), \(draft.currency), \(draft.paymentMethod), \(draft.provider), \(draft.transactionID),
                    \(draft.isImported), \(tip.approved.rawValue), \(moment), \(moment))
                """)
            switch tip.approved {
            case .pending, .rejected: mutation.emit(Self.event("channel.tips.moderation", tip))
            case .allowed: try await Self.show(tip, in: channel, at: moment, in: mutation)
            }
            return (tip, true)
        }
    }

    private static func find(_ draft: TipDraft, in channel: Channel, _ mutation: Mutation) async throws -> Tip? {
        guard let transaction = draft.transactionID else { return nil }
        return try await mutation.query(
            """
            SELECT * FROM tips WHERE tenant = \(channel.id) AND provider = \(draft.provider)
                AND transaction_id = \(transaction)
            """
        ).first.map { row throws(DatabaseError) in try Tip(row) }
    }

    /// Says a tip that is allowed, and counts it.
    private static func show(_ tip: Tip, in channel: Channel, at moment: Timestamp, in mutation: Mutation) async throws
    {
        mutation.emit(Self.event("channel.tips", tip))
        _ = try await Activities.insert(tip.activity, in: channel, at: moment, in: mutation)
    }

    // MARK: moderation

    /// What a moderator decides. Throws 409 for a tip that has been shown.
    func decide(_ id: String, _ decision: Tip.Decision, in channel: String, by moderator: String) async throws -> Tip {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            let channel = try await Channel.open(channel, at: moment, in: mutation)
            guard HexID.isID(id),
                let row = try await mutation.query(
                    "SELECT * FROM tips WHERE id = \(id) AND tenant = \(channel.id)"
                ).first
            else { throw Self.notFound }
            var tip = try Tip(row)
            if tip.approved == decision.approval { return tip }
            guard tip.approved != .allowed else {
                throw APIFailure(.conflict, "The tip has been shown; it cannot be \(decision.rawValue)")
            }
            tip.approved = decision.approval
            tip.approvedBy = moderator
            tip.updatedAt = moment
            _ = try await mutation.query(
                """
                UPDATE tips SET approved = \(decision.rawValue), approved_by = \(moderator), updated_at = \(moment)
                WHERE id = \(id)
                """)
            mutation.emit(Self.event("channel.tips.moderation", tip))
            if decision == .allowed { try await Self.show(tip, in: channel, at: moment, in: mutation) }
            return tip
        }
    }

    func settings(_ channel: String) async throws -> JSON {
        TipSettings.json(try await Channel.read(channel, at: .now, in: self.database).channel)
    }

    func change(_ settings: TipSettings, _ channel: String) async throws -> JSON {
        try await self.writer.write { mutation in
            let moment = Timestamp.now
            let old = try await Channel.open(channel, at: moment, in: mutation)
            if let currency = settings.currency, currency != old.currency {
                try await Sessions.forgetMoney(old, at: moment, in: mutation)
            }
            _ = try await mutation.query(
                """
                UPDATE channels SET tips_moderated = coalesce(\(settings.moderation), tips_moderated),
                    currency = coalesce(\(settings.currency), currency) WHERE tenant = \(channel)
                """)
            return TipSettings.json(try await Channel.open(channel, at: moment, in: mutation))
        }
    }

    // MARK: reading

    /// What is asked for of a channel's tips.
    struct Filter: Sendable {
        var approved: [Tip.Approval] = [.allowed]
        var username: String?
        var email: String?
        var after: Timestamp?
        var before: Timestamp?

        fileprivate func condition(_ channel: String) -> Query {
            var query: Query = "tenant = \(channel) AND approved = ANY(\(self.approved.map(\.rawValue)))"
            if let username { query += " AND username = \(username)" }
            if let email { query += " AND email = \(email)" }
            if let after { query += " AND created_at > \(after)" }
            if let before { query += " AND created_at < \(before)" }
            return query
        }
    }

    /// Newest first, and how many there are.
    func list(_ filter: Filter, in channel: String, limit: Int, offset: Int) async throws -> (tips: [Tip], total: Int) {
        let rows = try await self.database.query(
            """
            SELECT * FROM tips WHERE \(filter.condition(channel)) ORDER BY seq DESC LIMIT \(limit) OFFSET \(offset)
            """)
        let count = try await self.database.query(
            "SELECT count(*) AS total FROM tips WHERE \(filter.condition(channel))")
        return (
            try rows.map { row throws(DatabaseError) in try Tip(row) }, try count.first?.decode("total") ?? 0
        )
    }

    /// - Parameter seesAll: whether also one that is not allowed is found.
    func get(_ id: String, in channel: String, seesAll: Bool) async throws -> Tip {
        guard HexID.isID(id),
            let row = try await self.database.query("SELECT * FROM tips WHERE id = \(id) AND tenant = \(channel)").first
        else { throw Self.notFound }
        let tip = try Tip(row)
        guard seesAll || tip.approved == .allowed else { throw Self.notFound }
        return tip
    }

    /// What one has given, in one currency.
    struct Giver: Sendable {
        let username: String
        let currency: String
        let count: Int
        let total: Double
        let first: Timestamp
        let last: Timestamp
    }

    /// Whoever has given most comes first.
    /// - Parameter currency: `nil`: the channel's.
    func givers(_ filter: Filter, in channel: String, currency: String?, limit: Int) async throws -> [Giver] {
        try await self.database.query(
            """
            SELECT username, currency, count(*) AS count, sum(amount::numeric) AS total, min(created_at) AS first,
                max(created_at) AS last
            FROM tips WHERE \(filter.condition(channel))
                AND currency = coalesce(\(currency), (SELECT currency FROM channels WHERE tenant = \(channel)))
            GROUP BY username, currency ORDER BY total DESC, username LIMIT \(limit)
            """
        ).map { row throws(DatabaseError) in
            Giver(
                username: try row.decode("username"), currency: try row.decode("currency"),
                count: try row.decode("count"), total: try row.decode("total"), first: try row.decode("first"),
                last: try row.decode("last"))
        }
    }

    private static let notFound = APIFailure(.notFound, "There is no such tip")

    private static func event(_ type: EventType, _ tip: Tip) -> Event {
        Event(
            type, tip.json, tenant: tip.channel, room: tip.channel, publisher: .streamMetrics, time: tip.updatedAt)
    }
}
