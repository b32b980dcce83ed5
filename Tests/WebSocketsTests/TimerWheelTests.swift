import Testing

@testable import WebSockets

@Suite struct TimerWheelTests {
    @Test(arguments: [1, 2, 1022, 1023, 1024, 1025, 5000, 100_000] as [UInt64])
    func `a deadline comes at its tick, not before`(delay: UInt64) {
        var wheel = TimerWheel<String>(now: 77)
        wheel.schedule("a", at: 77 + delay)
        #expect(wheel.advance(to: 77 + delay - 1) == [])
        #expect(wheel.advance(to: 77 + delay) == ["a"])
        #expect(wheel.isEmpty)
        #expect(wheel.nextTick == nil)
    }

    @Test func `deadlines come in order however long the wheel stood`() {
        var wheel = TimerWheel<Int>(now: 0)
        for tick in [900, 3000, 5, 1500, 2, 700].shuffled() { wheel.schedule(tick, at: UInt64(tick)) }
        #expect(wheel.advance(to: 10_000) == [2, 5, 700, 900, 1500, 3000])
    }

    @Test func `a deadline moves later and earlier`() {
        var wheel = TimerWheel<String>(now: 0)
        wheel.schedule("a", at: 10)
        wheel.schedule("a", at: 50)
        #expect(wheel.advance(to: 49) == [])
        wheel.schedule("a", at: 60)
        wheel.schedule("a", at: 52)
        #expect(wheel.advance(to: 51) == [])
        #expect(wheel.advance(to: 100) == ["a"])
    }

    @Test func `a cancelled deadline does not come, nor twice when set again`() {
        var wheel = TimerWheel<String>(now: 0)
        wheel.schedule("a", at: 10)
        wheel.cancel("a")
        #expect(wheel.isEmpty)
        wheel.schedule("a", at: 10)
        wheel.schedule("b", at: 10)
        wheel.cancel("b")
        #expect(wheel.advance(to: 3000) == ["a"])
    }

    @Test func `a deadline in the past comes with the next tick`() {
        var wheel = TimerWheel<String>(now: 500)
        wheel.schedule("a", at: 3)
        #expect(wheel.nextTick == 501)
        #expect(wheel.advance(to: 501) == ["a"])
    }

    @Test func `the next tick is that of the earliest deadline`() {
        var wheel = TimerWheel<String>(now: 0)
        #expect(wheel.nextTick == nil)
        wheel.schedule("late", at: 800)
        wheel.schedule("soon", at: 8)
        #expect(wheel.nextTick == 8)
        _ = wheel.advance(to: 8)
        #expect(wheel.nextTick == 800)
    }

    @Test func `many random deadlines all come at their tick`() {
        var wheel = TimerWheel<Int>(now: 0)
        var due: [Int: UInt64] = [:]
        var generator = SystemRandomNumberGenerator()
        for key in 0..<2000 {
            for _ in 0..<3 {
                let tick = UInt64.random(in: 1...4000, using: &generator)
                wheel.schedule(key, at: tick)
                due[key] = tick
            }
        }
        for tick in 1...4000 as ClosedRange<UInt64> {
            for key in wheel.advance(to: tick) { #expect(due.removeValue(forKey: key) == tick) }
        }
        #expect(due.isEmpty)
    }
}
