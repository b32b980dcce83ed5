public import FoundationEssentials

/// A moment, in whole milliseconds since 1970 UTC. One is stored, five dialects write it each their own way.
public struct Timestamp: Sendable, Hashable, Comparable, Codable {
    public let milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public init(_ date: Date) { self.milliseconds = Int64((date.timeIntervalSince1970 * 1000).rounded()) }

    public static var now: Timestamp { Timestamp(Date()) }

    public var date: Date { Date(timeIntervalSince1970: Double(self.milliseconds) / 1000) }

    /// Unix time in whole seconds (Airys).
    public var seconds: Int64 { self.milliseconds / 1000 }

    /// ISO 8601 with milliseconds and `Z` (Source Saver, WAVE).
    public var iso8601: String { self.date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)) }

    /// RFC 3339 in whole seconds with `Z` (Astro, Grimnir).
    public var rfc3339: String { self.date.formatted(Date.ISO8601FormatStyle()) }

    /// Reads ISO 8601 in UTC or with an offset, with or without a fraction.
    public init?(iso8601 text: String) {
        let plain = try? Date(text, strategy: Date.ISO8601FormatStyle())
        // `try?`: each of the two forms is allowed to fail; both failing is the answer `nil`.
        guard let date = plain ?? (try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
        else { return nil }
        self.init(date)
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
        Timestamp(milliseconds: moment.milliseconds + duration.milliseconds)
    }

    public static func - (left: Timestamp, right: Timestamp) -> Duration {
        .milliseconds(left.milliseconds - right.milliseconds)
    }
}

extension Duration {
    /// Whole milliseconds, rounded down.
    public var milliseconds: Int64 {
        self.components.seconds * 1000 + self.components.attoseconds / 1_000_000_000_000_000
    }
}
