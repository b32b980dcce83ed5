import Bus
import Events
import FoundationEssentials
import Logging
import Metrics
import NIOConcurrencyHelpers

/// The keys that access tokens are verified with. They are fetched from auth every few seconds, and when a token names a key that is
/// not known: then all who wait for it share one question, and there is one in two seconds at most.
final class KeyRing: Sendable {
    private struct Name: Hashable {
        let issuer: String
        let key: String
    }

    private struct State {
        var answer: FetchKeys.Answer?
        var sets: KeySets?
        /// Grows whenever `sets` change.
        var version = 0
        /// When auth answered last; `nil`: never yet.
        var reached: ContinuousClock.Instant?
        /// Questions are numbered; these are the last that began, that was answered, and that failed.
        var begun = 0
        var answered = 0
        var failed = 0
        var beginning: ContinuousClock.Instant?
        /// Somebody asks, or will when the time has come.
        var hasLeader = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        /// Keys that tokens named and the newest sets do not have.
        var absent: Set<Name> = []
    }

    private let commands: CommandClient
    private let logger: Logger
    private let state: NIOLockedValueBox<State>
    private let contact = Gauge(label: "access_contact_timestamp_seconds")
    private let cached = Gauge(label: "access_cached_keys")

    /// Between two questions for a key that is not known.
    private static let interval = Duration.seconds(2)
    private static let timeout = Duration.seconds(3)
    private static let waitingMax = 10_000
    private static let absentMax = 10_000

    init(commands: CommandClient, logger: Logger) {
        self.commands = commands
        self.logger = logger
        self.state = NIOLockedValueBox(State())
    }

    /// Keys from before this process's start, until auth has answered.
    func restore(_ answer: FetchKeys.Answer) async {
        let sets = await KeySets(answer)
        guard !sets.isEmpty else { return }
        let isUsed = self.state.withLockedValue { state in
            guard state.sets == nil else { return false }
            (state.answer, state.sets, state.version) = (answer, sets, state.version + 1)
            return true
        }
        if isUsed { self.cached.record(1) }
    }

    var answer: FetchKeys.Answer? { self.state.withLockedValue { $0.answer } }
    var hasKeys: Bool { self.state.withLockedValue { $0.sets != nil } }
    var version: Int { self.state.withLockedValue { $0.version } }
    var reached: ContinuousClock.Instant? { self.state.withLockedValue { $0.reached } }

    // MARK: asking

    /// Asks auth. `false`: it did not answer.
    /// - Parameter issuer: one of whose keys a token names another one.
    func refresh(missing issuer: String? = nil) async -> Bool {
        let number = self.state.withLockedValue { state in
            state.begun += 1
            state.beginning = .now
            return state.begun
        }
        do throws(CommandFailure) {
            let answer = try await self.commands.call(FetchKeys(missing: issuer), timeout: Self.timeout)
            await self.adopt(answer, number)
            return true
        } catch {
            self.logger.debug("No keys from auth", metadata: ["error": "\(error.message)"])
            self.finish { $0.failed = max($0.failed, number) }
            return false
        }
    }

    private func adopt(_ answer: FetchKeys.Answer, _ number: Int) async {
        let isKnown = self.state.withLockedValue { $0.answer == answer }
        let sets = isKnown ? nil : await KeySets(answer)
        self.finish { state in
            state.reached = .now
            // An older answer that came later.
            guard number > state.answered else { return }
            state.answered = number
            guard let sets else { return }
            (state.answer, state.sets, state.version, state.absent) = (answer, sets, state.version + 1, [])
        }
        self.contact.record(Date().timeIntervalSince1970)
        self.cached.record(0)
    }

    private func finish(_ change: (inout State) -> Void) {
        let waiting = self.state.withLockedValue { state in
            change(&state)
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    // MARK: looking up

    /// Why there is no key for a token.
    enum Missing: Error {
        /// Auth has no such key.
        case absent
        /// Auth does not answer, or does not have that issuer's keys itself.
        case unavailable
    }

    private enum Step {
        case found(KeySets, version: Int)
        case absent, unavailable, wait
        case ask(after: Duration)
    }

    /// The sets that have the token's key.
    func sets(for token: SignedToken) async throws(Missing) -> (sets: KeySets, version: Int) {
        let needed = self.state.withLockedValue { $0.begun + 1 }
        while true {
            switch self.step(for: token, needed) {
            case .found(let sets, let version): return (sets, version)
            case .absent: throw .absent
            case .unavailable: throw .unavailable
            case .wait: await self.wait(needed)
            case .ask(let delay): try await self.lead(for: token.issuer, after: delay, needed)
            }
        }
    }

    private func step(for token: SignedToken, _ needed: Int) -> Step {
        self.state.withLockedValue { state in
            if let sets = state.sets, sets.hasKey(of: token) { return .found(sets, version: state.version) }
            let name = Name(issuer: token.issuer, key: token.keyID)
            if state.sets != nil, state.absent.contains(name) { return .absent }
            if state.answered >= needed {
                if state.sets?.awaitsKeys(of: token) ?? false { return .unavailable }
                if state.absent.count >= Self.absentMax { state.absent = [] }
                state.absent.insert(name)
                return .absent
            }
            if state.failed >= needed { return .unavailable }
            if state.hasLeader { return state.waiting.count < Self.waitingMax ? .wait : .unavailable }
            state.hasLeader = true
            guard state.sets != nil, let beginning = state.beginning else { return .ask(after: .zero) }
            return .ask(after: beginning + Self.interval - .now)
        }
    }

    private func wait(_ needed: Int) async {
        await withCheckedContinuation { continuation in
            let isWaiting = self.state.withLockedValue { state in
                // The leader may have finished in between.
                guard state.hasLeader, state.answered < needed, state.failed < needed else { return false }
                state.waiting.append(continuation)
                return true
            }
            if !isWaiting { continuation.resume() }
        }
    }

    private func lead(for issuer: String, after delay: Duration, _ needed: Int) async throws(Missing) {
        // Whoever waits looks again, and one of them leads if this one was cancelled.
        defer { self.finish { $0.hasLeader = false } }
        // `try?`: a cancelled sleep is what is looked at next.
        if delay > .zero { try? await Task.sleep(for: delay) }
        guard !Task.isCancelled else { throw .unavailable }
        // Meanwhile keys may have come by themselves.
        guard self.state.withLockedValue({ $0.answered < needed }) else { return }
        _ = await self.refresh(missing: issuer)
    }
}
