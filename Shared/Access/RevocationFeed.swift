import Bus
import Events
import Logging
import Metrics
import NIOConcurrencyHelpers

/// What this process knows to be revoked: from events, which come at once, and by asking auth, which finds what was missed.
final class RevocationFeed: Sendable {
    typealias Listener = @Sendable ([CredentialRevoked]) -> Void

    private struct State {
        var list: RevocationList
        /// The number of the last one that auth gave when asked.
        var last: Int64
        var listener: Listener?
        var isAsking = false
        /// Grows with every change.
        var version = 0
    }

    private let commands: CommandClient
    private let logger: Logger
    private let state: NIOLockedValueBox<State>
    private let known = Gauge(label: "access_revocations")

    private static let timeout = Duration.seconds(3)
    /// Pages of one asking: far more than there can be.
    private static let pagesMax = 1000

    /// - Parameters:
    ///   - revocations: known from before.
    ///   - last: the number to ask after.
    init(_ revocations: [CredentialRevoked], last: Int64, commands: CommandClient, logger: Logger) {
        self.commands = commands
        self.logger = logger
        self.state = NIOLockedValueBox(State(list: RevocationList(revocations), last: last))
    }

    func concerns(_ principal: Principal) -> Bool { self.state.withLockedValue { $0.list.concerns(principal) } }

    /// - Parameter listener: is told of each revocation once, when it is known here already; on any thread.
    func listen(_ listener: @escaping Listener) { self.state.withLockedValue { $0.listener = listener } }

    var snapshot: (version: Int, revocations: [CredentialRevoked], last: Int64) {
        self.state.withLockedValue { ($0.version, $0.list.all, $0.last) }
    }

    var version: Int { self.state.withLockedValue { $0.version } }

    func learn(_ revocations: [CredentialRevoked]) {
        guard !revocations.isEmpty else { return }
        let (fresh, count, listener) = self.state.withLockedValue { state in
            let fresh = revocations.filter { state.list.insert($0) }
            if !fresh.isEmpty { state.version += 1 }
            return (fresh, state.list.count, state.listener)
        }
        self.known.record(count)
        if !fresh.isEmpty { listener?(fresh) }
    }

    /// Asks auth for what came after the last answer. `false`: auth did not answer.
    func poll() async -> Bool {
        let isFirst = self.state.withLockedValue { state in
            defer { state.isAsking = true }
            return !state.isAsking
        }
        guard isFirst else { return true }
        defer { self.state.withLockedValue { $0.isAsking = false } }
        do throws(CommandFailure) {
            var pages = 1
            while try await !self.askForPage(), pages < Self.pagesMax { pages += 1 }
            self.dropEnded()
            return true
        } catch {
            switch error.code {
            case .unavailable, .deadlineExceeded: return false
            default:
                // Auth is there, and of another version: asking more often helps nobody.
                self.logger.warning("Auth does not tell its revocations", metadata: ["error": "\(error.message)"])
                return true
            }
        }
    }

    /// `true`: that was the last page.
    private func askForPage() async throws(CommandFailure) -> Bool {
        let after = self.state.withLockedValue { $0.last }
        let page = try await self.commands.call(FetchRevocations(after: after), timeout: Self.timeout)
        self.learn(page.revocations)
        // A number that is lower than ours is of another log: that one is read from its beginning.
        let next = page.last < after ? 0 : page.last
        self.state.withLockedValue { state in
            guard state.last != next else { return }
            state.last = next
            state.version += 1
        }
        return page.last >= after && (!page.hasMore || page.last == after)
    }

    private func dropEnded() {
        let count = self.state.withLockedValue { state in
            state.list.dropEnded(at: .now)
            return state.list.count
        }
        self.known.record(count)
    }
}
