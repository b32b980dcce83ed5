import Testing

@testable import Auth

@Suite struct ThrottleTests {
    private let start = ContinuousClock.now

    /// The seconds to wait after so many failures at one moment.
    private func pause(after failures: Int, _ throttle: Throttle = Throttle(threshold: 5, pauseMax: .seconds(300)))
        -> Duration?
    {
        var throttle = throttle
        for _ in 0..<failures { throttle.count("a", at: self.start) }
        return throttle.pause(of: "a", at: self.start)
    }

    @Test(
        arguments: [
            (0, nil), (4, nil), (5, 1), (6, 2), (7, 4), (8, 8), (12, 128), (13, 256), (14, 300), (15, 300), (1000, 300),
        ] as [(Int, Int?)])
    func `the pause doubles from the threshold on, up to its limit`(failures: Int, seconds: Int?) {
        #expect(self.pause(after: failures) == seconds.map { .seconds($0) })
    }

    @Test func `after the pause one attempt is free, and the next pause is longer`() {
        var throttle = Throttle(threshold: 1, pauseMax: .seconds(300))
        throttle.count("a", at: self.start)
        #expect(throttle.pause(of: "a", at: self.start + .milliseconds(400)) == .milliseconds(600))
        #expect(throttle.pause(of: "a", at: self.start + .seconds(1)) == nil)
        throttle.count("a", at: self.start + .seconds(1))
        #expect(throttle.pause(of: "a", at: self.start + .seconds(1)) == .seconds(2))
        #expect(throttle.pause(of: "b", at: self.start) == nil)
    }

    @Test func `the pause begins when the failure is known`() {
        var throttle = Throttle(threshold: 1, pauseMax: .seconds(300))
        throttle.count("a", at: self.start)
        throttle.confirm("a", at: self.start + .seconds(3))
        #expect(throttle.pause(of: "a", at: self.start + .seconds(3)) == .seconds(1))
    }

    @Test func `what was taken back does not count`() {
        var throttle = Throttle(threshold: 2, pauseMax: .seconds(300))
        for _ in 0..<2 { throttle.count("a", at: self.start) }
        throttle.withdraw("a")
        #expect(throttle.pause(of: "a", at: self.start) == nil)
        throttle.withdraw("a")
        #expect(throttle.count == 0)
        throttle.withdraw("a")
        for _ in 0..<2 { throttle.count("a", at: self.start) }
        throttle.forget("a")
        #expect(throttle.count == 0)
    }

    @Test func `a quarter of an hour of quiet is forgiven, and no less`() {
        var throttle = Throttle(threshold: 5, pauseMax: .seconds(300))
        for _ in 0..<5 { throttle.count("a", at: self.start) }
        var later = throttle
        later.count("a", at: self.start + Throttle.quiet)
        #expect(later.pause(of: "a", at: self.start + Throttle.quiet) == nil)
        throttle.count("a", at: self.start + Throttle.quiet - .milliseconds(1))
        #expect(throttle.pause(of: "a", at: self.start + Throttle.quiet) != nil)
    }

    @Test func `it remembers so many, and the newest of them`() {
        var throttle = Throttle(threshold: 1, pauseMax: .seconds(300), capacity: 100)
        for number in 0..<1000 { throttle.count("\(number)", at: self.start + .milliseconds(number)) }
        #expect(throttle.count <= 100)
        #expect(throttle.pause(of: "999", at: self.start + .seconds(1)) != nil)
        #expect(throttle.pause(of: "0", at: self.start + .seconds(1)) == nil)
    }

    @Test(
        arguments: [
            ("203.0.113.7", "203.0.113.7"), ("::ffff:203.0.113.7", "203.0.113.7"), ("::1", "0:0:0:0::/64"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("unknown", "unknown"), ("", ""),
        ])
    func `a customer of version 6 is one address`(address: String, key: String) {
        #expect(AttemptLimits.network(of: address) == key)
    }

    @Test func `an account is one whatever the case, and its success does not free the address`() {
        let limits = AttemptLimits(now: { [start = self.start] in start })
        for _ in 0..<5 {
            #expect(limits.begin(account: "A@b", address: "x") == nil)
            limits.failed(account: "a@B", address: "x")
        }
        #expect(limits.begin(account: "a@b", address: "y") == 1)
        for number in 0..<15 {
            #expect(limits.begin(account: "\(number)@b", address: "x") == nil)
            limits.failed(account: "\(number)@b", address: "x")
        }
        #expect(limits.begin(account: "new@b", address: "x") == 1)
        limits.succeeded(account: "a@b", address: "x")
        #expect(limits.begin(account: "a@b", address: "y") == nil)
        limits.withdraw(account: "a@b", address: "y")
        // One was taken back that had not succeeded: nineteen are left.
        #expect(limits.begin(account: "a@b", address: "x") == nil)
        #expect(limits.begin(account: "a@b", address: "x") == 1)
    }

    @Test func `unknown credentials of an address are put off for a minute at most`() {
        let limits = AttemptLimits(now: { [start = self.start] in start })
        for _ in 0..<19 { limits.badCredential(from: "x") }
        #expect(limits.retryAfter("x") == nil)
        limits.badCredential(from: "x")
        #expect(limits.retryAfter("x") == 1 && limits.retryAfter("y") == nil)
        for _ in 0..<50 { limits.badCredential(from: "x") }
        #expect(limits.retryAfter("x") == 60)
    }
}
