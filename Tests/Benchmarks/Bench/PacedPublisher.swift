// Which of these declares `timespec` for the compiler depends on what is built before.
import CDispatch
import Glibc

/// The load generator's side of a publisher: it says on standard input what to publish, event `k` being due at
/// start + (k - first) / rate, and gets told what became of it (Tests/Benchmarks/README.md).
struct PacedPublisher {
    /// An event that is due: its number, and when, on the monotonic clock in nanoseconds.
    struct Due {
        let number: Int
        let at: Int64
    }

    /// How many events at most are given to `publish` together.
    var batchMax = 1000
    /// If not, an event is due as soon as the one before was published.
    var isPaced = true

    /// Says that it is ready, and carries out each line of input until there are no more.
    /// - Parameter publish: publishes what is due now. What it returns is added to the answer as ` name=value`.
    func run(_ publish: ([Due]) async throws -> Void, summary: () -> [(String, Double)] = { [] }) async throws {
        say("ready")
        for await line in inputLines() {
            let words = line.split(separator: " ")
            guard words.count == 4, words[0] == "go", let first = Int(words[1]), let count = Int(words[2]),
                let rate = Double(words[3]), rate > 0
            else {
                say("not understood: \(line)")
                continue
            }
            say(try await self.step(first, count, rate, publish, summary))
        }
    }

    private func step(
        _ first: Int, _ count: Int, _ rate: Double, _ publish: ([Due]) async throws -> Void,
        _ summary: () -> [(String, Double)]
    ) async throws -> String {
        let start = Self.now
        let interval = 1e9 / rate
        var lagMax: Int64 = 0
        var done = 0
        while done < count {
            let next = self.isPaced ? start + Int64(Double(done) * interval) : Self.now
            Self.sleep(until: next)
            let now = Self.now
            lagMax = max(lagMax, now - next)
            var due: [Due] = []
            while done < count, due.count < self.batchMax {
                let at = self.isPaced ? start + Int64(Double(done) * interval) : now
                guard at <= now else { break }
                due.append(Due(number: first + done, at: at))
                done += 1
            }
            try await publish(due)
        }
        let more = summary().map { " \($0.0)=\($0.1)" }.joined()
        return "done \(count) \(start) \(Self.now) \(lagMax)\(more)"
    }

    /// The monotonic clock, in nanoseconds.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Blocks the thread: a task's sleep is less exact than what is measured.
    private static func sleep(until time: Int64) {
        var until = timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
        while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nil) == EINTR {}
    }
}
