internal import Events

/// Postgres's text form of `timestamptz` in UTC: `2026-11-21 12:46:45.123+00`.
enum TimestampText {
    private static let dayMilliseconds: Int64 = 86_400_000
    /// 0001-01-01 and 10000-01-01; what lies outside is written as infinitely early or late.
    private static let bounds: Range<Int64> = -62_135_596_800_000..<253_402_300_800_000

    static func write(_ moment: Timestamp) -> String {
        guard Self.bounds.contains(moment.milliseconds) else {
            return moment.milliseconds < 0 ? "-infinity" : "infinity"
        }
        var day = moment.milliseconds / Self.dayMilliseconds
        var rest = moment.milliseconds % Self.dayMilliseconds
        if rest < 0 { (day, rest) = (day - 1, rest + Self.dayMilliseconds) }
        let time = [(rest / 3_600_000, 2), (rest / 60_000 % 60, 2), (rest / 1000 % 60, 2), (rest % 1000, 3)].map(
            Self.pad)
        return "\(Self.date(ofDay: day)) \(time[0]):\(time[1]):\(time[2]).\(time[3])+00"
    }

    /// `yyyy-mm-dd` of a day counted from 1970-01-01.
    static func date(ofDay day: Int64) -> String {
        // Days to a date in the proleptic Gregorian calendar, eras of 400 years that begin in March.
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        let calendarMonth = month < 10 ? month + 3 : month - 9
        let year = yearOfEra + era * 400 + (calendarMonth <= 2 ? 1 : 0)
        return "\(Self.pad(year, 4))-\(Self.pad(calendarMonth, 2))-\(Self.pad(dayOfMonth, 2))"
    }

    /// `nil` for infinities, years before Christ, and everything that is no moment.
    static func read(_ text: some StringProtocol) -> Timestamp? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 22,
            let zone = bytes.lastIndex(where: { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") }), zone >= 19,
            let year = Self.number(bytes[0..<4]), let month = Self.number(bytes[5..<7]),
            let day = Self.number(bytes[8..<10]),
            let hour = Self.number(bytes[11..<13]), let minute = Self.number(bytes[14..<16]),
            let second = Self.number(bytes[17..<19]), let offset = Self.offsetMinutes(bytes[zone...])
        else { return nil }
        var milliseconds: Int64 = 0
        if zone > 19 {
            guard bytes[19] == UInt8(ascii: ".") else { return nil }
            let digits = (bytes[20..<zone] + [48, 48, 48]).prefix(3)
            guard let fraction = Self.number(digits) else { return nil }
            milliseconds = fraction
        }
        let minutes = Self.day(year: year, month: month, day: day) * 1440 + hour * 60 + minute - offset
        return Timestamp(milliseconds: (minutes * 60 + second) * 1000 + milliseconds)
    }

    private static func day(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// `+00`, `-07` or `+05:30`.
    private static func offsetMinutes(_ text: ArraySlice<UInt8>) -> Int64? {
        let parts = text.dropFirst().split(separator: UInt8(ascii: ":"))
        guard (1...2).contains(parts.count), let hours = Self.number(parts[0]),
            let minutes = parts.count == 2 ? Self.number(parts[1]) : 0
        else { return nil }
        return (text.first == UInt8(ascii: "-") ? -1 : 1) * (hours * 60 + minutes)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int64? {
        guard !digits.isEmpty, digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 * 10 + Int64($1 - 48) }
    }

    private static func pad(_ value: Int64, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }
}
