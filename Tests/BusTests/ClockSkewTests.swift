import Events
import Testing

@testable import Bus

@Suite struct ClockSkewTests {
    private let ours = Timestamp(milliseconds: 1_700_000_000_000)

    /// Records announcements of a clock that is `ahead` of ours, each of which was on its way for that long.
    private func skew(ahead: Duration, delays: [Duration]) -> ClockSkew {
        var skew = ClockSkew()
        for (number, delay) in delays.enumerated() {
            let sent = self.ours + .seconds(number)
            skew.record(sent: sent + ahead, received: sent + delay)
        }
        return skew
    }

    @Test func `nothing is said without an announcement`() {
        #expect(ClockSkew().estimate == nil)
        #expect(!ClockSkew().isLarge)
    }

    @Test(arguments: [-4, 0, 2])
    func `the announcement of the smallest delay counts`(ahead: Int) {
        let skew = self.skew(ahead: .seconds(ahead), delays: [.seconds(3), .milliseconds(1), .seconds(5)])
        #expect(skew.estimate == .seconds(ahead) - .milliseconds(1))
    }

    @Test func `old announcements are forgotten`() {
        let delays = [Duration.zero] + Array(repeating: .milliseconds(400), count: ClockSkew.window)
        #expect(self.skew(ahead: .zero, delays: delays).estimate == .milliseconds(-400))
    }

    @Test func `a difference of over a second is large, once there are enough announcements`() {
        let delays = Array(repeating: Duration.milliseconds(2), count: ClockSkew.window)
        #expect(self.skew(ahead: .seconds(2), delays: delays).isLarge)
        #expect(self.skew(ahead: .seconds(-2), delays: delays).isLarge)
        #expect(!self.skew(ahead: .milliseconds(900), delays: delays).isLarge)
        #expect(!self.skew(ahead: .seconds(2), delays: Array(delays.dropLast())).isLarge)
    }

    @Test func `a clock that is no clock does no harm`() {
        var skew = ClockSkew()
        for extreme in [Int64.min, .max] {
            skew.record(sent: Timestamp(milliseconds: extreme), received: self.ours)
        }
        for _ in 0..<ClockSkew.window {
            skew.record(sent: Timestamp(milliseconds: .min), received: Timestamp(milliseconds: .max))
        }
        #expect(skew.isLarge)
    }
}
