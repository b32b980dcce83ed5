import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// A channel's own row: its settings, and when the periods of its session began. Its id is its tenant's.
struct Channel: Sendable {
    let id: String
    let settings: SessionSettings
    /// What its tips are summed in; `nil`: nobody has tipped yet.
    let currency: String?
    let moderatesTips: Bool
    /// How many activities its session has had.
    let sessionEventsCount: Int
    let sessionBegan: Timestamp
    let weekBegan: Timestamp
    let monthBegan: Timestamp

    /// When the week and the month began in which the row was read.
    let week: Timestamp
    let month: Timestamp

    /// Weeks of two time zones begin as much as a day apart, and are the same one.
    private static let slack = Duration.seconds(2 * 86_400)

    var isWeekOver: Bool { self.week - self.weekBegan > Self.slack }
    var isMonthOver: Bool { self.month - self.monthBegan > Self.slack }
    /// Whether the week or the month is over that its sums are of.
    var isOver: Bool { self.isWeekOver || self.isMonthOver }

    /// The same of a row.
    static func isOver(at moment: Timestamp) -> Query {
        """
        (date_trunc('week', \(moment), timezone) > week_began + interval '2 days'
            OR date_trunc('month', \(moment), timezone) > month_began + interval '2 days')
        """
    }

    /// The row, with the periods of `moment` in its time zone. Postgres has the time zones, and the calendar.
    private static func columns(at moment: Timestamp) -> Query {
        """
        *, date_trunc('week', \(moment), timezone) AS week, date_trunc('month', \(moment), timezone) AS month
        """
    }

    private init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("tenant")
        self.settings = SessionSettings(
            timezone: try row.decode("timezone"), resetAfterHours: try row.decode("reset_after_hours"))
        self.currency = try row.decode("currency")
        self.moderatesTips = try row.decode("tips_moderated")
        self.sessionEventsCount = try row.decode("session_events_count")
        self.sessionBegan = try row.decode("session_began")
        self.weekBegan = try row.decode("week_began")
        self.monthBegan = try row.decode("month_began")
        self.week = try row.decode("week")
        self.month = try row.decode("month")
    }

    /// One of which nothing is known yet.
    private init(_ id: String, at moment: Timestamp, week: Timestamp, month: Timestamp) {
        self.id = id
        self.settings = SessionSettings(timezone: "UTC", resetAfterHours: 1)
        self.currency = nil
        self.moderatesTips = false
        self.sessionEventsCount = 0
        self.sessionBegan = moment
        (self.weekBegan, self.week) = (week, week)
        (self.monthBegan, self.month) = (month, month)
    }

    /// The values of its session that something has changed, by key.
    private static func session(of id: String) -> Query {
        "(SELECT coalesce(json_object_agg(key, data), '{}') FROM session_values WHERE tenant = \(id)) AS session"
    }

    /// The channel of the tenant and the values of its session, for showing them. They may be of a week or month that is over.
    static func read(
        _ id: String, at moment: Timestamp, in database: Database
    ) async throws -> (channel: Channel, session: [String: JSON]) {
        if let row = try await database.query(
            "SELECT \(Self.columns(at: moment)), \(Self.session(of: id)) FROM channels WHERE tenant = \(id)"
        ).first {
            return (try Channel(row), try row.decode("session", as: JSON.self).object ?? [:])
        }
        let periods = try await database.query(
            "SELECT date_trunc('week', \(moment), 'UTC') AS week, date_trunc('month', \(moment), 'UTC') AS month")
        let channel = Channel(
            id, at: moment, week: try periods.first?.decode("week") ?? moment,
            month: try periods.first?.decode("month") ?? moment)
        return (channel, [:])
    }

    /// The same of a channel in a mutation.
    func session(in mutation: Mutation) async throws -> [String: JSON] {
        let rows = try await mutation.query("SELECT \(Self.session(of: self.id))")
        return try rows.first?.decode("session", as: JSON.self).object ?? [:]
    }

    /// The channel of the tenant in a mutation that goes on to change something of it: made where it is the first time, and its sums those
    /// of this week and month.
    static func open(_ id: String, at moment: Timestamp, in mutation: Mutation) async throws -> Channel {
        let channel = try await Self.upsert(id, at: moment, in: mutation)
        guard channel.isOver else { return channel }
        try await Sessions.roll(channel, at: moment, in: mutation)
        return try await Self.upsert(id, at: moment, in: mutation)
    }

    private static func upsert(_ id: String, at moment: Timestamp, in mutation: Mutation) async throws -> Channel {
        let rows = try await mutation.query(
            """
            INSERT INTO channels (tenant, session_events_count, session_began, week_began, month_began)
            VALUES (\(id), 0, \(moment), date_trunc('week', \(moment), 'UTC'), date_trunc('month', \(moment), 'UTC'))
            ON CONFLICT (tenant) DO UPDATE SET tenant = EXCLUDED.tenant RETURNING \(Self.columns(at: moment))
            """)
        guard let row = rows.first else { throw DatabaseError.decoding("an insert returned nothing") }
        return try Channel(row)
    }
}

/// When a channel's weeks and sessions begin.
struct SessionSettings: Sendable {
    /// Of the IANA database, `Europe/Berlin`.
    let timezone: String
    /// After how many hours offline going live begins a new session; `nil`: never by itself.
    let resetAfterHours: Int?

    var json: JSON {
        ["timezone": .string(self.timezone), "resetAfterHours": JSON(self.resetAfterHours.map(Double.init))]
    }
}

/// What is changed of them.
struct SessionSettingsPatch: Sendable {
    let timezone: String?
    /// Outer `nil`: as it is.
    let resetAfterHours: Int??

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireOnly(["timezone", "resetAfterHours"], "is not known here")
        // What the last two mean is the machine's own business.
        let timezone = try members.text("timezone", 1...64)
        if let timezone, timezone.hasPrefix("posix") || ["localtime", "Factory"].contains(timezone) {
            throw Self.unknown(timezone)
        }
        self.timezone = timezone
        let hours = try members.integer("resetAfterHours", 0...720, "hours")
        self.resetAfterHours = members.has("resetAfterHours") ? .some(hours) : .none
    }

    static func unknown(_ timezone: String) -> APIFailure {
        APIFailure(
            .badRequest, "timezone must be a name of the IANA database, such as Europe/Berlin",
            details: ["field": "timezone"])
    }
}
