import Database
import Events
import NIOConcurrencyHelpers

/// What chat and reactions must know of a stream, without asking the database for every line.
///
/// Only what is committed is kept: whoever changes a stream forgets it inside the mutation, so that whoever follows in the same
/// transaction reads the row, and what was read before such a change is never kept after it.
final class StreamCache: Sendable {
    struct Entry: Sendable {
        let tenant: String
        let status: Stream.Status
    }

    /// What was found, to be kept once the mutation that found it is committed.
    struct Finding: Sendable {
        let entry: Entry
        fileprivate let generation: UInt64
    }

    private struct Kept {
        let entry: Entry
        let until: ContinuousClock.Instant
    }

    private struct State {
        var entries: [String: Kept] = [:]
        var generation: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())

    /// Another process may have been the writer in between, but not for less than this.
    private static let lifetime = Duration.seconds(1)
    private static let entriesMax = 10_000

    /// Called in a mutation that changes a stream.
    func forget(_ stream: String) {
        self.state.withLockedValue { state in
            state.entries[stream] = nil
            state.generation += 1
        }
    }

    /// The stream as the mutation sees it, from memory if possible. Throws `notFound`.
    func find(_ stream: String, in mutation: Mutation) async throws -> Finding {
        let (kept, generation) = self.state.withLockedValue { ($0.entries[stream], $0.generation) }
        if let kept, kept.until > .now { return Finding(entry: kept.entry, generation: generation) }
        guard Stream.isID(stream),
            let row = try await mutation.query("SELECT tenant, status FROM streams WHERE id = \(stream)").first,
            let status = Stream.Status(rawValue: try row.decode("status"))
        else { throw CommandFailure(.notFound, "There is no stream \(stream.prefix(100))") }
        return Finding(entry: Entry(tenant: try row.decode("tenant"), status: status), generation: generation)
    }

    /// Called after the commit.
    func keep(_ finding: Finding, as stream: String) {
        self.state.withLockedValue { state in
            guard state.generation == finding.generation else { return }
            if let kept = state.entries[stream], kept.until > .now { return }
            if state.entries.count >= Self.entriesMax { state.entries = [:] }
            state.entries[stream] = Kept(entry: finding.entry, until: .now + Self.lifetime)
        }
    }
}
