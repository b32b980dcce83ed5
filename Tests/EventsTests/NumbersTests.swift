import Events
import Testing

@Suite struct NumbersTests {
    @Test(
        arguments: [
            (0, 0), (1.9, 1), (-1.9, -1), (1e308, .max), (-1e308, .min), (.infinity, .max), (-.infinity, .min),
            (.nan, 0),
            (9_223_372_036_854_775_808, .max), (-9_223_372_036_854_775_808, .min), (9_007_199_254_740_992, 1 << 53),
        ] as [(Double, Int64)])
    func `a number is brought into an integer's range`(number: Double, integer: Int64) {
        #expect(Int64(clamping: number) == integer)
    }

    @Test(
        arguments: [
            (5, 3, 2), (3, 5, nil), (.max, 0, .max), (.max, .min, nil), (.min, .max, nil), (0, -1, nil), (-1, -2, nil),
            (9_000_000_000_000_000_000, -9_000_000_000_000_000_000, nil),
        ] as [(Int64, Int64, Int64?)])
    func `a counter's growth needs two readings of one counter`(now: Int64, before: Int64, growth: Int64?) {
        #expect(now.increase(since: before) == growth)
    }

    @Test func `sums, differences and products end at the range's ends`() {
        #expect(Int64.max.addingClamped(1) == .max && Int64.min.addingClamped(-1) == .min)
        #expect(Int64.min.subtractingClamped(1) == .min && Int64.max.subtractingClamped(-1) == .max)
        #expect(Int64.max.multipliedClamped(by: 2) == .max && Int64.min.multipliedClamped(by: 2) == .min)
        #expect(Int64.min.multipliedClamped(by: -1) == .max && (2 as Int64).multipliedClamped(by: 3) == 6)
    }
}
