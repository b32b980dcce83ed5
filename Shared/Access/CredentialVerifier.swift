public import Bus
public import Events
import FoundationEssentials
import JWTKit
public import Logging
import NIOConcurrencyHelpers
public import ServiceLifecycle

/// Says whom a credential belongs to. Access tokens are verified here, with auth's public keys; API keys and opaque tokens are
/// asked about over the bus, and the answer is remembered for a short while.
public actor CredentialVerifier: Service {
    private struct Keys {
        let issuer: String
        let collection: JWTKeyCollection
    }

    private struct Remembered {
        let principal: Principal?
        let until: ContinuousClock.Instant
    }

    private struct Memory {
        var answers: [String: Remembered] = [:]
        /// What was revoked lately: access tokens, which are verified without asking auth, end with it too.
        var revoked: [CredentialRevoked] = []
        /// Counts how often the answers were forgotten.
        var generation = 0
    }

    private let commands: CommandClient
    private let logger: Logger
    private var keys: Keys?
    private var lastFetch: ContinuousClock.Instant?
    private nonisolated let memory = NIOLockedValueBox(Memory())
    private nonisolated let reached = NIOLockedValueBox<ContinuousClock.Instant?>(nil)

    private static let positiveAge = Duration.seconds(30)
    private static let negativeAge = Duration.seconds(5)
    private static let rememberedMax = 20_000
    private static let revokedMax = 10_000
    /// A token with an unknown key makes us ask for keys again, at most this often.
    private static let refetchInterval = Duration.seconds(2)
    private static let refreshInterval = Duration.seconds(5)
    /// As long as auth has not answered.
    private static let retryInterval = Duration.milliseconds(250)
    /// No access token is longer, and no other credential.
    private static let bytesMax = 8192
    private static let opaqueBytesMax = 256

    public init(commands: CommandClient, logger: Logger) {
        self.commands = commands
        self.logger = logger
    }

    /// - Parameters:
    ///   - kind: what the client says it is; another kind is refused. `nil`: any kind will do.
    ///   - remoteAddress: for keys that are bound to addresses.
    public func verify(
        _ token: String, kind: CredentialKind? = nil, remoteAddress: String?
    ) async throws(AccessError) -> Principal {
        guard !token.isEmpty, token.utf8.count <= Self.bytesMax else { throw .invalid("not a credential") }
        let isJWT = token.utf8.count { $0 == UInt8(ascii: ".") } == 2
        let principal = isJWT ? try await self.verifyJWT(token) : try await self.introspect(token, remoteAddress)
        switch kind {
        case nil: break
        case .oauth2 where isJWT: break
        case principal.credential: break
        default: throw .invalid("a credential of another kind")
        }
        return principal
    }

    /// A credential of any kind: what a service's API takes.
    @Sendable
    public nonisolated func authenticate(_ token: String, _ remoteAddress: String?) async throws(AccessError)
        -> Principal
    {
        try await self.verify(token, remoteAddress: remoteAddress)
    }

    private func verifyJWT(_ token: String) async throws(AccessError) -> Principal {
        if let keys = self.keys {
            do {
                return try await self.principal(token, keys)
            } catch {
                // A key that we have not seen: a rotation, or rubbish.
                if case .refused(let reason) = error { throw .invalid(reason) }
            }
        }
        guard let keys = try await self.fetchKeys() else { throw .invalid("signed with an unknown key") }
        do {
            return try await self.principal(token, keys)
        } catch {
            throw .invalid("not signed by \(keys.issuer)")
        }
    }

    private enum Refusal: Error {
        case unknownKey
        case refused(String)
    }

    private func principal(_ token: String, _ keys: Keys) async throws(Refusal) -> Principal {
        do {
            let claims = try await keys.collection.verify(token, as: AccessTokenClaims.self)
            guard claims.iss.value == keys.issuer else { throw Refusal.refused("another issuer") }
            let principal = claims.principal(signingKey: nil)
            let isRevoked = self.memory.withLockedValue { $0.revoked.contains { $0.concerns(principal) } }
            guard !isRevoked else { throw Refusal.refused("revoked") }
            return principal
        } catch let error as JWTError where error.errorType == .unknownKID || error.errorType == .noKeyProvided {
            throw .unknownKey
        } catch let error as JWTError {
            throw .refused("\(error.errorType)")
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw .refused("not a token")
        }
    }

    /// Whether access tokens can be verified, with auth there or not.
    public nonisolated var hasKeys: Bool { self.reached.withLockedValue { $0 } != nil }

    /// Whether auth answered lately.
    public nonisolated var isAuthReachable: Bool {
        self.reached.withLockedValue { $0 }.map { ContinuousClock.now - $0 < Self.refreshInterval * 2 } ?? false
    }

    /// Keeps the keys fresh until shutdown, so that tokens are verified with auth away.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                // `try?`: auth may be away, and `isAuthReachable` says so; a cancelled sleep ends the loop.
                let isLoaded = (try? await self.loadKeys()) != nil
                try? await Task.sleep(for: isLoaded ? Self.refreshInterval : Self.retryInterval)
            }
        }
    }

    /// `nil`: asked too recently.
    private func fetchKeys() async throws(AccessError) -> Keys? {
        let now = ContinuousClock.now
        if self.keys != nil, let last = self.lastFetch, now - last < Self.refetchInterval { return nil }
        self.lastFetch = now
        return try await self.loadKeys()
    }

    private func loadKeys() async throws(AccessError) -> Keys {
        do {
            let answer = try await self.commands.call(FetchKeys(), timeout: .seconds(3))
            let collection = JWTKeyCollection()
            let document = try JSONDecoder().decode(JWKS.self, from: Data(answer.jwks.utf8))
            for key in document.keys {
                // The algorithm is pinned by what we accept as a key, not by what a token says (RFC 8725 §3.1).
                guard key.algorithm == .es256, key.keyIdentifier != nil else { continue }
                // No key is the default one: a token of a key that we do not know is a reason to ask again, not a bad signature.
                try await collection.add(jwk: key, isDefault: false)
            }
            // Without this jwt-kit takes the first key for a token that names another one, or none.
            await collection.clearDefault()
            let keys = Keys(issuer: answer.issuer, collection: collection)
            self.keys = keys
            self.reached.withLockedValue { $0 = .now }
            return keys
        } catch {
            self.logger.debug("No keys from auth", metadata: ["error": "\(error)"])
            throw .unavailable
        }
    }

    private func introspect(_ token: String, _ remoteAddress: String?) async throws(AccessError) -> Principal {
        guard token.utf8.count <= Self.opaqueBytesMax else { throw .invalid("not a credential") }
        // A key may be bound to addresses, so an answer holds for one address only.
        let cacheKey = "\(remoteAddress ?? "")\n\(token)"
        let (known, generation) = self.memory.withLockedValue { ($0.answers[cacheKey], $0.generation) }
        if let known, known.until > .now { return try Self.accept(known.principal) }
        let answer: Introspection
        do {
            answer = try await self.commands.call(
                Introspect(token: token, remoteAddress: remoteAddress), timeout: .seconds(3))
        } catch {
            throw .unavailable
        }
        let age = answer.principal == nil ? Self.negativeAge : Self.positiveAge
        let remembered = Remembered(principal: answer.principal, until: .now + age)
        self.memory.withLockedValue { memory in
            // An answer from before a revocation must not outlive it.
            guard memory.generation == generation else { return }
            if memory.answers.count >= Self.rememberedMax { memory.answers.removeAll() }
            memory.answers[cacheKey] = remembered
        }
        return try Self.accept(answer.principal)
    }

    private static func accept(_ principal: Principal?) throws(AccessError) -> Principal {
        guard let principal else { throw .invalid("unknown, expired or revoked") }
        if let expires = principal.expires, expires <= .now { throw .invalid("expired") }
        return principal
    }

    /// Takes note of revocations among events, on any thread: what they name is refused from now on.
    public nonisolated func hear(_ events: [Event]) {
        for event in events where event.type == CredentialRevoked.type {
            // `try?`: whatever it names, the answers of before do not count any longer.
            let revoked = try? event.payload(as: CredentialRevoked.self)
            self.memory.withLockedValue { memory in
                // The oldest of very many is let go.
                if memory.revoked.count >= Self.revokedMax { memory.revoked.removeFirst() }
                if let revoked { memory.revoked.append(revoked) }
                memory.answers.removeAll()
                memory.generation += 1
            }
        }
    }
}

/// Why a credential was not accepted.
public enum AccessError: Error, Sendable, Hashable {
    /// Unknown, malformed, expired, revoked, or of another kind than it was said to be.
    case invalid(String)
    /// Auth could not be asked; try again.
    case unavailable
}
