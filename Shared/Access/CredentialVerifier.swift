public import Bus
public import Events
public import Logging
import Metrics
import NIOPosix
public import ServiceLifecycle

/// Says whom a credential belongs to. Access tokens are verified here, with public keys; API keys and opaque tokens are asked about
/// over the bus, and the answer is remembered for a short while; a ticket is redeemed. What is revoked is refused, and whoever
/// has accepted it before is told.
public final class CredentialVerifier: Service {
    private let commands: CommandClient
    private let keys: KeyRing
    private let revocations: RevocationFeed
    private let answers = AnswerMemory()
    private let tokens = TokenMemory()
    private let refusals: RefusalTally
    private let cache: AccessCache?
    private let restored: AccessCache.Content?

    private static let refreshInterval = Duration.seconds(5)
    private static let pollInterval = Duration.seconds(10)
    /// As long as auth does not answer.
    private static let retryInterval = Duration.milliseconds(250)
    private static let pollRetryInterval = Duration.seconds(1)
    private static let reportInterval = Duration.seconds(2)
    private static let saveInterval = Duration.milliseconds(250)
    private static let timeout = Duration.seconds(3)
    /// No access token is longer, and no other credential.
    private static let bytesMax = 8192
    private static let opaqueBytesMax = 256
    private static let ticketPrefix = "xptk_"

    private let verified = Counter(label: "access_tokens_verified_total", dimensions: [("by", "signature")])
    private let remembered = Counter(label: "access_tokens_verified_total", dimensions: [("by", "memory")])
    private let asked = Counter(label: "access_introspections_total")

    /// - Parameters:
    ///   - process: who refuses, for auth's audit log.
    ///   - cache: where keys and revocations outlast this process.
    public init(commands: CommandClient, process: ServiceName, cache: AccessCache? = nil, logger: Logger) {
        let restored = cache?.load()
        self.commands = commands
        self.cache = cache
        self.restored = restored
        self.refusals = RefusalTally(process: process)
        self.keys = KeyRing(commands: commands, logger: logger)
        self.revocations = RevocationFeed(restored, commands: commands, logger: logger)
    }

    // MARK: judging

    /// - Parameters:
    ///   - kind: what the client says it is; another kind is refused. `nil`: any kind will do. A ticket stands for any.
    ///   - remoteAddress: for keys that are bound to addresses.
    public func verify(
        _ token: String, kind: CredentialKind? = nil, remoteAddress: String?
    ) async throws(AccessError) -> Principal {
        do throws(Refusal) {
            if token.hasPrefix(Self.ticketPrefix) { return try await self.redeem(token, remoteAddress) }
            let principal = try await self.judge(token, remoteAddress)
            guard kind == nil || kind == principal.credential || kind == .oauth2 && principal.credential == .jwt else {
                throw .local(.kind)
            }
            return principal
        } catch {
            throw self.note(error, from: remoteAddress)
        }
    }

    /// A credential of any kind but a ticket, which is for a WebSocket: what a service's API takes.
    @Sendable
    public func authenticate(_ token: String, _ remoteAddress: String?) async throws(AccessError) -> Principal {
        do throws(Refusal) {
            guard !token.hasPrefix(Self.ticketPrefix) else { throw .local(.ticket) }
            return try await self.judge(token, remoteAddress)
        } catch {
            throw self.note(error, from: remoteAddress)
        }
    }

    /// Whether a credential that was good when it was verified is so no longer.
    public func isRevoked(_ principal: Principal) -> Bool { self.revocations.concerns(principal) }

    /// `remote`: auth said so, and has noted it.
    private enum Refusal: Error {
        case local(LocalRefusal)
        case remote(AccessError)
    }

    private func note(_ refusal: Refusal, from address: String?) -> AccessError {
        switch refusal {
        case .remote(let error): return error
        case .local(let reason):
            self.refusals.note(reason, from: address)
            return .invalid(reason.rawValue)
        }
    }

    private func judge(_ token: String, _ remoteAddress: String?) async throws(Refusal) -> Principal {
        guard !token.isEmpty, token.utf8.count <= Self.bytesMax else { throw .local(.malformed) }
        let isSigned = SignedToken.isLike(token)
        let principal =
            isSigned ? try await self.verifyToken(token) : try await self.introspect(token, remoteAddress)
        // Auth, when asked, has looked by itself.
        if isSigned, await !self.revocations.complete() { throw .remote(.unavailable) }
        guard !self.revocations.concerns(principal) else { throw .local(.revoked) }
        return principal
    }

    private func verifyToken(_ text: String) async throws(Refusal) -> Principal {
        let digest = CredentialDigest(text)
        if let principal = self.tokens.principal(digest, version: self.keys.version) {
            self.remembered.increment()
            return principal
        }
        let token = try Self.local { () throws(LocalRefusal) in try SignedToken(text) }
        let known: (sets: KeySets, version: Int)
        do throws(KeyRing.Missing) {
            known = try await self.keys.sets(for: token)
        } catch {
            throw error == .absent ? .local(.key) : .remote(.unavailable)
        }
        let principal = try Self.local { () throws(LocalRefusal) in try known.sets.principal(of: token) }
        self.tokens.keep(principal, digest, version: known.version)
        self.verified.increment()
        return principal
    }

    private static func local<Value>(_ body: () throws(LocalRefusal) -> Value) throws(Refusal) -> Value {
        do throws(LocalRefusal) {
            return try body()
        } catch {
            throw .local(error)
        }
    }

    private func introspect(_ token: String, _ remoteAddress: String?) async throws(Refusal) -> Principal {
        guard token.utf8.count <= Self.opaqueBytesMax else { throw .local(.malformed) }
        // A key may be bound to addresses, so an answer holds for one address only.
        let digest = CredentialDigest(token, address: remoteAddress ?? "")
        switch self.answers.known(digest) {
        case .somebody(let principal):
            guard !Self.hasExpired(principal) else { throw .local(.expired) }
            return principal
        case .nobody: throw .local(.unknown)
        case .nothing: break
        }
        let outcome = await self.answers.outcome(of: digest) {
            self.asked.increment()
            return await self.ask(Introspect(token: token, remoteAddress: remoteAddress))
        }
        return try Self.principal(of: outcome)
    }

    /// A ticket counts once: it is never asked about again, whatever becomes of the question.
    private func redeem(_ ticket: String, _ remoteAddress: String?) async throws(Refusal) -> Principal {
        guard ticket.utf8.count <= Self.opaqueBytesMax else { throw .local(.malformed) }
        let principal = try Self.principal(
            of: await self.ask(RedeemTicket(ticket: ticket, remoteAddress: remoteAddress)))
        guard !self.revocations.concerns(principal) else { throw .local(.revoked) }
        return principal
    }

    private func ask<Question: Command>(_ question: Question) async -> AnswerMemory.Outcome
    where Question.Answer == Introspection {
        do {
            return .answered(try await self.commands.call(question, timeout: Self.timeout))
        } catch {
            return .unavailable
        }
    }

    private static func principal(of outcome: AnswerMemory.Outcome) throws(Refusal) -> Principal {
        guard case .answered(let answer) = outcome else { throw .remote(.unavailable) }
        if let principal = answer.principal {
            guard !Self.hasExpired(principal) else { throw .local(.expired) }
            return principal
        }
        if let seconds = answer.retryAfter { throw .remote(.limited(retryAfter: seconds)) }
        throw .remote(.invalid("unknown, expired or revoked"))
    }

    private static func hasExpired(_ principal: Principal) -> Bool { principal.expires.map { $0 <= .now } ?? false }

    // MARK: revocations

    /// Takes note of revocations among events, on any thread: what they name is refused from now on.
    public func hear(_ events: [Event]) {
        var revoked: [CredentialRevoked] = []
        for event in events where event.type == CredentialRevoked.type {
            // `try?`: whatever one that we cannot read names, the answers of before do not count any longer.
            if let revocation = try? event.payload(as: CredentialRevoked.self) {
                revoked.append(revocation)
            } else {
                self.answers.forgetAll()
            }
        }
        self.revocations.learn(revoked)
    }

    /// Has `listener` told of each revocation once, from whatever source, on any thread. What it names is refused already.
    public func whenRevoked(_ listener: @escaping @Sendable ([CredentialRevoked]) -> Void) {
        self.revocations.listen(listener)
    }

    // MARK: contact with auth

    /// Whether access tokens can be judged, with auth there or not: their keys are known, and what was revoked.
    public var hasKeys: Bool { self.keys.hasKeys && self.revocations.isComplete }

    /// Whether auth answered lately.
    public var isAuthReachable: Bool {
        self.keys.reached.map { ContinuousClock.now - $0 < Self.refreshInterval * 2 } ?? false
    }

    /// Keeps keys and revocations fresh until shutdown, and tells auth what was refused.
    public func run() async throws {
        if let keys = self.restored?.keys { await self.keys.restore(keys) }
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.keepKeys() }
                group.addTask { await self.keepRevocations() }
                group.addTask { await self.reportRefusals() }
                group.addTask { await self.keepCache() }
            }
        }
    }

    // `try?` in the following: a sleep fails only when it is cancelled, and then the loop ends.

    private func keepKeys() async {
        var isInContact = false
        while !Task.isCancelled {
            if await self.keys.refresh() {
                // What was revoked while auth was away is to end at once.
                if !isInContact { _ = await self.revocations.poll() }
                isInContact = true
                try? await Task.sleep(for: Self.refreshInterval)
            } else {
                isInContact = false
                try? await Task.sleep(for: Self.retryInterval)
            }
        }
    }

    private func keepRevocations() async {
        while !Task.isCancelled {
            let isAnswered = await self.revocations.poll()
            try? await Task.sleep(for: isAnswered ? Self.pollInterval : Self.pollRetryInterval)
        }
    }

    private func reportRefusals() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.reportInterval)
            await self.refusals.report(self.commands)
        }
    }

    /// Saves what has changed, a little later, so that many changes are one.
    private func keepCache() async {
        guard let cache = self.cache else { return }
        var saved = (keys: self.restored?.keys, version: 0)
        while !Task.isCancelled {
            // Cancelled, it saves once more.
            try? await Task.sleep(for: Self.saveInterval)
            let keys = self.keys.answer
            // A list with holes would let in whom it does not name.
            guard self.revocations.isComplete else { continue }
            guard keys != saved.keys || self.revocations.version != saved.version else { continue }
            let (version, revocations, last, term) = self.revocations.snapshot
            let content = AccessCache.Content(keys: keys, revocations: revocations, last: last, term: term)
            // Files block, and are written elsewhere; but at the end nobody is kept from anything.
            // `try?`: cancelled meanwhile, it is saved in the next line.
            if !Task.isCancelled { try? await NIOThreadPool.singleton.runIfActive { cache.save(content) } }
            if Task.isCancelled { cache.save(content) }
            saved = (keys, version)
        }
    }
}
