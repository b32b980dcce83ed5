import ServiceKit
import Threads

/// Hashes and compares passwords on threads of their own, two at once: that many processors and 64 MB at most go to sign-ins.
actor PasswordHasher {
    nonisolated let cost: PasswordHash.Cost
    /// What an account without a password, and one that is not there, is compared with: it takes as long.
    private let nobody: PasswordHash
    private var running = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []

    private static let runningMax = 2
    /// Those behind would wait for seconds.
    private static let waitingMax = 32

    init(cost: PasswordHash.Cost = .standard) {
        self.cost = cost
        self.nobody = PasswordHash(ofNobody: cost)
    }

    /// Throws 503 with `Retry-After` when too many wait.
    func hash(_ password: String) async throws -> PasswordHash {
        try await self.run { [cost] in try PasswordHash(of: password, cost: cost) }
    }

    /// Whether the password is the hash's; `nil`: no, after the same time. Throws 503 with `Retry-After` when too many wait.
    func matches(_ password: String, _ hash: PasswordHash?) async throws -> Bool {
        try await self.run { [nobody] in try (hash ?? nobody).matches(password) && hash != nil }
    }

    private func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await self.enter()
        defer { self.leave() }
        do {
            return try await withCheckedThrowingContinuation { continuation in
                _ = WorkerThread(name: "password") { continuation.resume(with: Result { try body() }) }
            }
        } catch {
            // Nothing else can be wrong with parameters of ours.
            throw APIFailure.unavailable("There is no memory for a sign-in at the moment")
        }
    }

    private func enter() async throws {
        guard self.running == Self.runningMax else {
            self.running += 1
            return
        }
        guard self.waiting.count < Self.waitingMax else {
            throw APIFailure.unavailable("Too many sign-ins at the moment")
        }
        await withCheckedContinuation { self.waiting.append($0) }
    }

    /// The place goes to whoever waits longest.
    private func leave() {
        guard self.waiting.isEmpty else { return self.waiting.removeFirst().resume() }
        self.running -= 1
    }
}
