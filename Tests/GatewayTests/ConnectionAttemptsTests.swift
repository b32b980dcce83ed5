import Dialects
import Events
import Testing

@testable import Gateway

@Suite struct ConnectionAttemptsTests {
    private static let now = Timestamp(milliseconds: 1_700_000_000_000)

    private static func address(_ number: Int) -> String { "10.\(number >> 16).\(number >> 8 & 255).\(number & 255)" }

    @Test(arguments: [RateLimit.rolling(3, per: .seconds(60)), RateLimit(burst: 3, perSecond: 0.05)])
    func `however many others try, who has reached the limit stays limited`(limit: RateLimit) {
        var attempts = ConnectionAttempts(countMax: 1000)
        let allowed = (0..<4).map { _ in attempts.take(.wave, limit, from: "192.0.2.1", at: Self.now) }
        #expect(allowed == [true, true, true, false])
        let others = (0..<5000).count { number in
            attempts.take(.wave, limit, from: Self.address(number), at: Self.now + .milliseconds(number))
        }
        #expect(others == 5000)
        #expect(attempts.count <= 1000)
        let isFree = attempts.take(.wave, limit, from: "192.0.2.1", at: Self.now + .seconds(5))
        #expect(!isFree)
    }

    @Test func `those that have their whole limit again are forgotten first, and then the oldest`() {
        let limit = RateLimit(burst: 4, perSecond: 1)
        var attempts = ConnectionAttempts(countMax: 8)
        // One that has waited long enough, and seven that have not.
        _ = attempts.take(.wave, limit, from: Self.address(0), at: Self.now - .seconds(10))
        for number in 1..<11 {
            _ = attempts.take(.wave, limit, from: Self.address(number), at: Self.now + .milliseconds(number))
        }
        // 0, 1 and 2 were forgotten; 3 has one attempt less.
        let left = (3...10).map { number in
            var count = 0
            var copy = attempts
            while copy.take(.wave, limit, from: Self.address(number), at: Self.now + .milliseconds(20)) { count += 1 }
            return count
        }
        #expect(left == Array(repeating: 3, count: 8))
        #expect(attempts.count == 8)
    }
}
