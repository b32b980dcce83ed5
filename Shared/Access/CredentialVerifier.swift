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

    private let commands: CommandClient
    private let logger: Logger
    private var keys: Keys?
    private var lastFetch: ContinuousClock.Instant?
    private var remembered: [String: Remembered] = [:]
    /// What was revoked lately, so that access tokens, which are verified without asking auth, end with it.
    private var revoked: [CredentialRevoked] = []
    /// How often everything was forgotten.
    private var generation = 0
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
    /// No credential is longer.
    private static let bytesMax = 8192

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
            let principal = claims.principal
            guard !self.revoked.contains(where: { $0.concerns(principal) }) else { throw Refusal.refused("revoked") }
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
        // A key may be bound to addresses, so an answer holds for one address only.
        let cacheKey = "\(remoteAddress ?? "")\n\(token)"
        let now = ContinuousClock.now
        if let known = self.remembered[cacheKey], known.until > now {
            return try Self.current(known.principal)
        }
        let generation = self.generation
        let answer: Introspection
        do {
            answer = try await self.commands.call(
                Introspect(token: token, remoteAddress: remoteAddress), timeout: .seconds(3))
        } catch {
            throw .unavailable
        }
        // An answer that was under way when something was revoked may be of the time before.
        if generation == self.generation {
            if self.remembered.count >= Self.rememberedMax { self.remembered.removeAll() }
            let age = answer.principal == nil ? Self.negativeAge : Self.positiveAge
            self.remembered[cacheKey] = Remembered(principal: answer.principal, until: .now + age)
        }
        return try Self.current(answer.principal)
    }

    private static func current(_ principal: Principal?) throws(AccessError) -> Principal {
        guard let principal else { throw .invalid("unknown, expired or revoked") }
        if let expires = principal.expires, expires <= .now { throw .invalid("expired") }
        return principal
    }

    /// Refuses that credential from now on; the oldest of very many is let go.
    public func revoke(_ credential: CredentialRevoked) {
        if self.revoked.count >= Self.revokedMax { self.revoked.removeFirst() }
        self.revoked.append(credential)
    }

    /// Forgets what was remembered: something was revoked.
    public func forget() {
        self.remembered.removeAll()
        self.generation += 1
    }
}

/// Why a credential was not accepted.
public enum AccessError: Error, Sendable, Hashable {
    /// Unknown, malformed, expired, revoked, or of another kind than it was said to be.
    case invalid(String)
    /// Auth could not be asked; try again.
    case unavailable
}
