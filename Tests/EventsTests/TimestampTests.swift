import Events
import FoundationEssentials
import Testing

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_705_336_200_123, "2024-01-15T16:30:00.123Z"),
            (1_709_164_799_999, "2024-02-28T23:59:59.999Z"), (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (4_107_542_400_001, "2100-03-01T00:00:00.001Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func `a moment is written and read`(milliseconds: Int64, text: String) {
        let timestamp = Timestamp(milliseconds: milliseconds)
        #expect(timestamp.iso8601 == text)
        #expect(timestamp.rfc3339 == text.prefix(19) + "Z")
        #expect(Timestamp(iso8601: text) == timestamp)
    }

    @Test func `no millisecond of a second is lost`() {
        for fraction in 0..<1000 as Range<Int64> {
            let timestamp = Timestamp(milliseconds: 1_705_336_200_000 + fraction)
            #expect(Timestamp(iso8601: timestamp.iso8601) == timestamp)
        }
    }

    @Test func `the date agrees with the library's, day by day`() {
        for day in stride(from: -130_000, to: 200_000, by: 37) as StrideTo<Int64> {
            let timestamp = Timestamp(milliseconds: day * 86_400_000)
            #expect(timestamp.rfc3339 == timestamp.date.formatted(Date.ISO8601FormatStyle()))
        }
    }

    @Test(
        arguments: [
            ("2024-01-15T16:30:00Z", 1_705_336_200_000), ("2024-01-15T17:30:00+01:00", 1_705_336_200_000),
            ("2024-01-15T16:30:00.5Z", 1_705_336_200_500), ("2024-01-15T17:30:00.123+01:00", 1_705_336_200_123),
        ] as [(String, Int64)])
    func `a moment is read with an offset and with any fraction`(text: String, milliseconds: Int64) {
        #expect(Timestamp(iso8601: text)?.milliseconds == milliseconds)
    }

    @Test(arguments: ["", "now", "2024", "2024-13-01T00:00:00Z", "16:30:00Z", "2024-01-15T16:30:00", "1705336200"])
    func `what is no moment is not read`(text: String) {
        #expect(Timestamp(iso8601: text) == nil)
    }

    @Test func `Unix seconds and durations`() {
        let timestamp = Timestamp(milliseconds: 1_645_678_900_999)
        #expect(timestamp.seconds == 1_645_678_900)
        #expect(timestamp + .milliseconds(1) - timestamp == .milliseconds(1))
        #expect(Duration.microseconds(2500).milliseconds == 2)
        #expect(timestamp < timestamp + .seconds(1))
    }

    @Test(
        arguments: [.min, .min + 1, -1, 0, 1, .max - 1, .max, -62_135_596_800_001, 253_402_300_800_000] as [Int64])
    func `every moment can be written, and computed with`(milliseconds: Int64) {
        let moment = Timestamp(milliseconds: milliseconds)
        #expect(moment.iso8601.hasSuffix("Z") && moment.rfc3339.hasSuffix("Z"))
        for other in [.min, -1, 0, 1, .max] as [Int64] {
            let other = Timestamp(milliseconds: other)
            #expect((moment - other < .zero) == (moment < other))
        }
        for duration in [.zero, .seconds(Int64.max), .seconds(Int64.min), .milliseconds(Int64.max)] as [Duration] {
            #expect(duration < .zero || moment + duration >= moment)
            #expect(duration < .zero || moment - duration <= moment)
        }
        #expect(Timestamp(moment.date).milliseconds.signum() == milliseconds.signum())
        _ = moment.seconds
    }

    @Test func `moments from outside are in the years 1 to 9999`() {
        #expect(Timestamp(untrusted: -62_135_596_800_000)?.iso8601 == "0001-01-01T00:00:00.000Z")
        #expect(Timestamp(untrusted: 253_402_300_799_999)?.iso8601 == "9999-12-31T23:59:59.999Z")
        for milliseconds in [.min, -62_135_596_800_001, 253_402_300_800_000, .max] as [Int64] {
            #expect(Timestamp(untrusted: milliseconds) == nil)
        }
        for text in ["0000-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00", "10000-01-01T00:00:00Z"] {
            #expect(Timestamp(iso8601: text) == nil)
        }
    }
}
