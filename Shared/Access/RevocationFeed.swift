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
        /// The term of auth's writer in which `last` was given.
        var term: UInt64?
        /// Whether everything was told once, to this process or to the one whose cache it took over.
        var isComplete: Bool
        var listener: Listener?
        var isAsking = false
        /// Who came while auth was being asked.
        var waiting: [CheckedContinuation<Bool?, Never>] = []
        /// When it was last asked for everything in vain.
        var failed: ContinuousClock.Instant?
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
    /// How long nobody asks again because of a credential.
    private static let failureAge = Duration.milliseconds(250)

    /// - Parameter restored: what is known from before, complete as of then.
    init(_ restored: AccessCache.Content? = nil, commands: CommandClient, logger: Logger) {
        self.commands = commands
        self.logger = logger
        self.state = NIOLockedValueBox(
            State(
                list: RevocationList(restored?.revocations ?? []), last: restored?.last ?? 0, term: restored?.term,
                isComplete: restored != nil))
    }

    func concerns(_ principal: Principal) -> Bool { self.state.withLockedValue { $0.list.concerns(principal) } }

    /// - Parameter listener: is told of each revocation once, when it is known here already; on any thread.
    func listen(_ listener: @escaping Listener) { self.state.withLockedValue { $0.listener = listener } }

    var snapshot: (version: Int, revocations: [CredentialRevoked], last: Int64, term: UInt64?) {
        self.state.withLockedValue { ($0.version, $0.list.all, $0.last, $0.term) }
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

    /// Whether everything was told once: before, that nothing is known of a credential says nothing about it.
    var isComplete: Bool { self.state.withLockedValue { $0.isComplete } }

    /// Makes it complete, by asking auth, if it is not. `false`: that could not be done.
    func complete() async -> Bool {
        let (isComplete, hasFailed) = self.state.withLockedValue { state in
            (state.isComplete, state.failed.map { ContinuousClock.now - $0 < Self.failureAge } ?? false)
        }
        if isComplete { return true }
        if !hasFailed { _ = await self.poll() }
        return self.isComplete
    }

    /// Asks auth for what came after the last answer, or waits for whoever does. `false`: auth did not answer.
    func poll() async -> Bool {
        while !Task.isCancelled {
            guard self.begin() else {
                // Whoever asked may have gone: then one of those who waited asks.
                guard let isAnswered = await self.join() else { continue }
                return isAnswered
            }
            let isAnswered = await self.ask()
            let isAbandoned = !isAnswered && Task.isCancelled
            let waiting = self.state.withLockedValue { state in
                if !state.isComplete, !isAbandoned { state.failed = .now }
                state.isAsking = false
                defer { state.waiting = [] }
                return state.waiting
            }
            for continuation in waiting { continuation.resume(returning: isAbandoned ? nil : isAnswered) }
            return isAnswered
        }
        return false
    }

    /// `false`: auth is being asked.
    private func begin() -> Bool {
        self.state.withLockedValue { state in
            defer { state.isAsking = true }
            return !state.isAsking
        }
    }

    /// `nil`: nobody is asking any longer, and there is no answer.
    private func join() async -> Bool? {
        await withCheckedContinuation { continuation in
            let isUnderWay = self.state.withLockedValue { state in
                if state.isAsking { state.waiting.append(continuation) }
                return state.isAsking
            }
            if !isUnderWay { continuation.resume(returning: nil) }
        }
    }

    private func ask() async -> Bool {
        do throws(CommandFailure) {
            for _ in 0..<Self.pagesMax where try await self.askForPage() {
                self.state.withLockedValue { state in
                    guard !state.isComplete else { return }
                    state.isComplete = true
                    state.version += 1
                }
                break
            }
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
        return self.state.withLockedValue { state in
            let term = page.term ?? state.term
            // The list of another term is read from its beginning; without its term it is known by a number that is lower than ours.
            let isOther = after > 0 && (term != state.term || page.last < after)
            let next = isOther ? 0 : page.last
            if state.last != next || state.term != term {
                (state.last, state.term) = (next, term)
                state.version += 1
            }
            return !isOther && (!page.hasMore || page.last == after)
        }
    }

    private func dropEnded() {
        let count = self.state.withLockedValue { state in
            state.list.dropEnded(at: .now)
            return state.list.count
        }
        self.known.record(count)
    }
}
