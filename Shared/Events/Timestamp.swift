public import FoundationEssentials

/// A moment, in whole milliseconds since 1970 UTC. One is stored, five dialects write it each their own way.
public struct Timestamp: Sendable, Hashable, Comparable, Codable {
    public let milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public init(_ date: Date) { self.milliseconds = Int64(clamping: (date.timeIntervalSince1970 * 1000).rounded()) }

    /// Unix milliseconds from outside. `nil` outside of the years 1 to 9999, which every reader of dates knows.
    public init?(untrusted milliseconds: Int64) {
        guard Self.years1To9999.contains(milliseconds) else { return nil }
        self.init(milliseconds: milliseconds)
    }

    private static let years1To9999: ClosedRange<Int64> = -62_135_596_800_000...253_402_300_799_999

    public static var now: Timestamp { Timestamp(Date()) }

    public var date: Date { Date(timeIntervalSince1970: Double(self.milliseconds) / 1000) }

    /// Unix time in whole seconds (Airys).
    public var seconds: Int64 { self.milliseconds / 1000 }

    /// ISO 8601 with milliseconds and `Z` (Source Saver, WAVE).
    public var iso8601: String {
        let fraction = String(1000 + self.milliseconds.modulo(1000)).dropFirst()
        return "\(self.dateAndTime).\(fraction)Z"
    }

    /// RFC 3339 in whole seconds with `Z` (Astro, Grimnir).
    public var rfc3339: String { "\(self.dateAndTime)Z" }

    /// Reads ISO 8601 in UTC or with an offset, with or without a fraction. `nil` outside of the years 1 to 9999.
    public init?(iso8601 text: String) {
        let plain = try? Date(text, strategy: Date.ISO8601FormatStyle())
        // `try?`: each of the two forms is allowed to fail; both failing is the answer `nil`.
        guard let date = plain ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
        else { return nil }
        self.init(untrusted: Timestamp(date).milliseconds)
    }

    public init(from decoder: any Decoder) throws {
        self.milliseconds = try decoder.singleValueContainer().decode(Int64.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.milliseconds)
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool { left.milliseconds < right.milliseconds }

    public static func + (moment: Timestamp, duration: Duration) -> Timestamp {
        Timestamp(milliseconds: moment.milliseconds.addingClamped(duration.milliseconds))
    }

    public static func - (moment: Timestamp, duration: Duration) -> Timestamp {
        Timestamp(milliseconds: moment.milliseconds.subtractingClamped(duration.milliseconds))
    }

    public static func - (left: Timestamp, right: Timestamp) -> Duration {
        .milliseconds(left.milliseconds.subtractingClamped(right.milliseconds))
    }
}

extension Timestamp {
    /// `2024-01-15T16:30:00`. Whole numbers all the way: through `Date`, a fraction of .123 comes out as .122.
    private var dateAndTime: String {
        let seconds = self.milliseconds.dividedDown(by: 1000)
        let date = Self.date(ofDay: seconds.dividedDown(by: 86_400))
        let time = seconds.modulo(86_400)
        let two = { (value: Int64) in value < 10 ? "0\(value)" : "\(value)" }
        let digits = String(date.year.magnitude)
        let year = (date.year < 0 ? "-" : "") + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        return
            "\(year)-\(two(date.month))-\(two(date.day))T\(two(time / 3600)):\(two(time / 60 % 60)):\(two(time % 60))"
    }

    /// The Gregorian date of a day counted from 1970, by eras of 400 years that begin on 1 March
    /// (howardhinnant.github.io/date_algorithms.html, `civil_from_days`).
    private static func date(ofDay days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted.dividedDown(by: 146_097)
        let dayOfEra = shifted.modulo(146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}

extension Int64 {
    fileprivate func dividedDown(by divisor: Int64) -> Int64 { self / divisor - (self % divisor < 0 ? 1 : 0) }

    fileprivate func modulo(_ divisor: Int64) -> Int64 {
        let rest = self % divisor
        return rest < 0 ? rest + divisor : rest
    }
}

extension Duration {
    /// Whole milliseconds, rounded towards zero and limited to what the type can hold.
    public var milliseconds: Int64 {
        self.components.seconds.multipliedClamped(by: 1000)
            .addingClamped(self.components.attoseconds / 1_000_000_000_000_000)
    }
}
