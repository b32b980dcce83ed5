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

    /// Whether the week or the month is over that its sums are of.
    var isOver: Bool { self.week > self.weekBegan || self.month > self.monthBegan }

    /// The row, with the periods of `moment` in its time zone. Postgres has the time zones, and the calendar.
    static func columns(at moment: Timestamp) -> Query {
        """
        *, date_trunc('week', \(moment), timezone) AS week, date_trunc('month', \(moment), timezone) AS month
        """
    }

    init(_ row: Row) throws(DatabaseError) {
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

    /// A new one, as it would be.
    static func new(_ id: String, at moment: Timestamp) -> Query {
        """
        INSERT INTO channels (tenant, session_events_count, session_began, week_began, month_began)
        VALUES (\(id), 0, \(moment), date_trunc('week', \(moment), 'UTC'), date_trunc('month', \(moment), 'UTC'))
        """
    }

    /// The channel of the tenant in a mutation that goes on to change something of it: made where it is the first time, and its sums those
    /// of this week and month.
    static func open(_ id: String, at moment: Timestamp, in mutation: Mutation) async throws -> Channel {
        let rows = try await mutation.query(
            """
            \(Self.new(id, at: moment)) ON CONFLICT (tenant) DO UPDATE SET tenant = EXCLUDED.tenant
            RETURNING \(Self.columns(at: moment))
            """)
        guard let row = rows.first else { throw DatabaseError.decoding("an insert returned nothing") }
        let channel = try Channel(row)
        try await Sessions.roll(channel, at: moment, in: mutation)
        return channel
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
        self.timezone = try members.text("timezone", 1...64)
        let hours = try members.integer("resetAfterHours", 0...720, "hours")
        self.resetAfterHours = members.has("resetAfterHours") ? .some(hours) : .none
    }
}
