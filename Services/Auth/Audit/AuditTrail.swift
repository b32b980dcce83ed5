import Database
import Events
import Metrics
import NIOConcurrencyHelpers
import ServiceLifecycle

/// Refusals on their way to the audit log: alike ones are added up, and written once a second.
///
/// While the database is away they wait, up to a bound; those beyond are counted as lost. An address of version 6 counts as its network,
/// as it does for who has to wait: a customer has 2^64 of them, and would have as many entries.
final class AuditTrail: Service {
    private struct Tally {
        var count: Int
        var last: Timestamp
    }

    private let writer: EventWriter
    private let waiting = NIOLockedValueBox<[AuditEntry: Tally]>([:])
    private let lostCounter = Counter(label: "auth_audit_lost_total")

    /// Distinct ones: an entry is under a kilobyte.
    private static let waitingMax = 5000
    private static let interval = Duration.seconds(1)

    init(writer: EventWriter) { self.writer = writer }

    /// Notes a refusal, on any thread.
    func note(_ entry: AuditEntry, count: Int = 1) {
        var entry = entry
        entry.address = entry.address.map(AttemptLimits.network)
        self.keep([entry: Tally(count: count, last: .now)])
    }

    /// Notes what a process refused without asking us.
    func note(_ report: ReportRefusals) {
        for refusal in report.refusals.prefix(Self.waitingMax) {
            self.note(
                AuditEntry(
                    "credential.refuse", .refused, address: refusal.address, target: report.process.rawValue,
                    reason: refusal.reason), count: max(1, min(refusal.count, Int(Int32.max))))
        }
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                // `try?`: the sleep fails only when it is cancelled, and then the loop ends.
                try? await Task.sleep(for: Self.interval)
                await self.flush()
            }
        }
    }

    /// Writes what waits; puts it back if that fails for now.
    private func flush() async {
        let taken = self.waiting.withLockedValue { waiting in
            defer { waiting = [:] }
            return waiting
        }
        guard !taken.isEmpty else { return }
        do {
            try await self.writer.write { mutation in
                try await mutation.audit(taken.map { (entry: $0.key, count: $0.value.count, time: $0.value.last) })
            }
        } catch {
            switch error {
            // What became of it is not known: better twice than never.
            case DatabaseError.unavailable, DatabaseError.notActiveWriter, DatabaseError.outcomeUnknown:
                self.keep(taken)
            default: self.lostCounter.increment(by: taken.values.reduce(0) { $0 + $1.count })
            }
        }
    }

    private func keep(_ entries: [AuditEntry: Tally]) {
        let lost = self.waiting.withLockedValue { waiting -> Int in
            var lost = 0
            for (entry, tally) in entries {
                if let known = waiting[entry] {
                    // A count is an integer of the database's.
                    let sum = min(known.count + tally.count, Int(Int32.max))
                    waiting[entry] = Tally(count: sum, last: max(known.last, tally.last))
                } else if waiting.count < Self.waitingMax {
                    waiting[entry] = tally
                } else {
                    lost += tally.count
                }
            }
            return lost
        }
        if lost > 0 { self.lostCounter.increment(by: lost) }
    }
}
