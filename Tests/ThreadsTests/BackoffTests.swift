import Testing
import Threads

@Suite struct BackoffTests {
    private static let longest = [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]

    @Test func `pauses double from one second to thirty, each a fifth shorter at most`() {
        for _ in 0..<200 {
            var backoff = Backoff(from: .seconds(1), to: .seconds(30))
            for longest in Self.longest {
                let pause = backoff.pause()
                #expect(pause <= .milliseconds(longest))
                #expect(pause >= .milliseconds(longest * 4 / 5))
            }
        }
    }

    @Test func `pauses are not the same for everybody`() {
        #expect(Set((0..<100).map { _ in Self.first() }).count > 1)
    }

    private static func first() -> Duration {
        var backoff = Backoff(from: .seconds(1), to: .seconds(30))
        return backoff.pause()
    }

    @Test func `it begins anew`() {
        var backoff = Backoff(from: .seconds(1), to: .seconds(30))
        for _ in 0..<10 { _ = backoff.pause() }
        backoff.reset()
        #expect(backoff.pause() <= .seconds(1))
    }
}
