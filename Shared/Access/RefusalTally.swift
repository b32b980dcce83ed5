import Bus
import Events
import Metrics
import NIOConcurrencyHelpers

/// Adds up the credentials that were refused without asking auth, for its audit log. No credential is kept.
final class RefusalTally: Sendable {
    private struct Name: Hashable {
        let address: String
        let reason: LocalRefusal
    }

    private let process: ServiceName
    private let counts = NIOLockedValueBox<[Name: Int]>([:])
    private let unreported = Counter(label: "access_refusals_unreported_total")

    /// Of address and reason. Together with those of all other addresses, one a reason, they stay below 200.
    private static let pairsMax = 200 - LocalRefusal.allCases.count
    /// Stands for all addresses for which there was no room.
    private static let otherAddresses = "other"
    private static let timeout = Duration.seconds(1)

    init(process: ServiceName) { self.process = process }

    func note(_ reason: LocalRefusal, from address: String?) {
        Counter(label: "access_refusals_total", dimensions: [("reason", reason.rawValue)]).increment()
        let name = Name(address: address ?? "", reason: reason)
        self.counts.withLockedValue { counts in
            let hasRoom = counts.count < Self.pairsMax || counts[name] != nil
            counts[hasRoom ? name : Name(address: Self.otherAddresses, reason: reason), default: 0] += 1
        }
    }

    /// Tells auth, if there is anything to tell. What it does not hear is lost but for its number.
    func report(_ commands: CommandClient) async {
        let taken = self.counts.withLockedValue { counts in
            defer { counts = [:] }
            return counts
        }
        guard !taken.isEmpty else { return }
        let refusals = taken.map { name, count in
            ReportRefusals.Refusal(address: name.address, reason: name.reason.rawValue, count: count)
        }
        do {
            _ = try await commands.call(
                ReportRefusals(process: self.process, refusals: refusals), timeout: Self.timeout)
        } catch {
            self.unreported.increment(by: taken.values.reduce(0, +))
        }
    }
}
