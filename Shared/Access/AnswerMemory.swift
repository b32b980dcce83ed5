import Events
import NIOConcurrencyHelpers

/// What auth said of API keys and opaque tokens, for a short while; and who waits for its answer, so that one question is enough.
final class AnswerMemory: Sendable {
    enum Outcome: Sendable {
        case answered(Introspection)
        case unavailable
        /// Whoever asked has gone.
        case abandoned
    }

    private struct Remembered {
        let principal: Principal?
        let until: ContinuousClock.Instant
    }

    private struct State {
        var answers = BoundedMemory<CredentialDigest, Remembered>(capacity: 20_000)
        var waiting: [CredentialDigest: [CheckedContinuation<Outcome, Never>]] = [:]
        /// Counts how often the answers were forgotten.
        var generation = 0
    }

    private let state = NIOLockedValueBox(State())

    private static let positiveAge = Duration.seconds(30)
    private static let negativeAge = Duration.seconds(5)

    enum Known: Equatable {
        case nothing
        case nobody
        case somebody(Principal)
    }

    func known(_ digest: CredentialDigest) -> Known {
        self.state.withLockedValue { state in
            guard let remembered = state.answers.value(digest), remembered.until > .now else { return .nothing }
            return remembered.principal.map(Known.somebody) ?? .nobody
        }
    }

    /// Auth's answer: to this question, or to the same one of somebody else that is under way.
    func outcome(of digest: CredentialDigest, ask: () async -> Outcome) async -> Outcome {
        while true {
            guard self.begin(digest) else {
                let outcome = await self.join(digest)
                if case .abandoned = outcome, !Task.isCancelled { continue }
                return outcome
            }
            let generation = self.state.withLockedValue { $0.generation }
            let outcome = await ask()
            if case .answered(let answer) = outcome { self.remember(answer, digest, generation) }
            let waiting = self.state.withLockedValue { $0.waiting.removeValue(forKey: digest) ?? [] }
            let isAbandoned = Task.isCancelled
            for continuation in waiting { continuation.resume(returning: isAbandoned ? .abandoned : outcome) }
            return outcome
        }
    }

    /// Lets go of everything.
    func forgetAll() {
        self.state.withLockedValue { state in
            state.answers.forgetAll()
            state.generation += 1
        }
    }

    /// `false`: the question is under way.
    private func begin(_ digest: CredentialDigest) -> Bool {
        self.state.withLockedValue { state in
            guard state.waiting[digest] == nil else { return false }
            state.waiting[digest] = []
            return true
        }
    }

    private func join(_ digest: CredentialDigest) async -> Outcome {
        await withCheckedContinuation { continuation in
            let isUnderWay = self.state.withLockedValue { state in
                guard state.waiting[digest] != nil else { return false }
                state.waiting[digest]?.append(continuation)
                return true
            }
            // It was answered in between: ask again.
            if !isUnderWay { continuation.resume(returning: .abandoned) }
        }
    }

    private func remember(_ answer: Introspection, _ digest: CredentialDigest, _ generation: Int) {
        // It was not looked at.
        guard answer.principal != nil || answer.retryAfter == nil else { return }
        let age = answer.principal == nil ? Self.negativeAge : Self.positiveAge
        let remembered = Remembered(principal: answer.principal, until: .now + age)
        self.state.withLockedValue { state in
            // An answer from before the others were forgotten must not outlive them.
            guard state.generation == generation else { return }
            state.answers.keep(remembered, digest)
        }
    }
}
