import Bus
import Crypto
import Dialects
import Events
import JWTKit
import Logging
import Metrics
import NIOConcurrencyHelpers

/// Makes and takes the tokens with which a client of a draining gateway goes on at another one (docs/dialects/astro.md §7): HS256 with a
/// key that all gateways share, good for two minutes and once. It says who the client is, what it listens to, and what it was told.
///
/// What does not fit into a URL is kept by auth under the token's id.
final class ReconnectTokens: Sendable {
    /// What a token is worth.
    struct Content: Codable, Sendable {
        var handOver: HandOver
        /// Up to where its client was told, by publisher.
        var positions: [String: Position]
        /// Since when the client is connected, here or at the gateways that it came from.
        var since: Timestamp

        var told: [ServiceName: Position] {
            Dictionary(
                uniqueKeysWithValues: self.positions.compactMap { name, position in
                    ServiceName(rawValue: name).map { ($0, position) }
                })
        }
    }

    struct Redeemed: Sendable {
        let content: Content
        let issued: Timestamp
    }

    private struct Claims: JWTPayload {
        var aud: AudienceClaim
        var jti: IDClaim
        var iat: IssuedAtClaim
        var exp: ExpirationClaim
        /// `nil`: auth keeps it.
        var content: Content?

        func verify(using algorithm: some JWTAlgorithm) async throws {
            try self.aud.verifyIntendedAudience(includes: ReconnectTokens.audience)
            try self.exp.verifyNotExpired()
        }
    }

    private let keys: JWTKeyCollection?
    private let commands: CommandClient
    private let logger: Logger
    /// Tokens that were taken while auth could not say whether they were before, until they end by themselves.
    private let taken = NIOLockedValueBox<[String: Timestamp]>([:])
    private let issued = Counter(label: "gateway_reconnect_tokens_total", dimensions: [("what", "issued")])
    private let redeemed = Counter(label: "gateway_reconnect_tokens_total", dimensions: [("what", "redeemed")])
    private let refused = Counter(label: "gateway_reconnect_tokens_total", dimensions: [("what", "refused")])
    private let unshared = Counter(label: "gateway_reconnect_tokens_total", dimensions: [("what", "unshared")])

    private static let audience = "crosspoint-gateway"
    private static let type = "reconnect+jwt"
    private static let lifetime = Duration.seconds(120)
    /// Characters; a longer one would not pass everywhere in a URL (contract §7.4).
    private static let lengthMax = 4096
    private static let timeout = Duration.seconds(3)
    /// How many there are before those that have ended go.
    private static let tidyCount = 10_000

    /// - Parameter key: the same for all gateways; `nil`: no token is made, and none is good.
    init(key: [UInt8]?, commands: CommandClient, logger: Logger) async {
        self.commands = commands
        self.logger = logger
        guard let key else {
            self.keys = nil
            return
        }
        let keys = JWTKeyCollection()
        await keys.add(hmac: HMACKey(key: .init(data: key)), digestAlgorithm: .sha256)
        self.keys = keys
    }

    /// `nil`: there is no key, or it is too much for a URL and auth does not keep it.
    func issue(_ content: Content) async -> String? {
        guard let keys = self.keys else { return nil }
        let now = Timestamp.now
        let id = ULID(at: now).text
        let until = now + Self.lifetime
        do {
            var token = try await self.sign(content, id: id, now, until, keys)
            if token.utf8.count > Self.lengthMax {
                let text = String(decoding: JSON.encode(content), as: UTF8.self)
                _ = try await self.commands.call(KeepToken(id: id, content: text, until: until), timeout: Self.timeout)
                token = try await self.sign(nil, id: id, now, until, keys)
            }
            self.issued.increment()
            return token
        } catch {
            self.logger.warning("No reconnect token for a client", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// What the token is worth, the first time that it is shown; `nil`: nothing.
    func redeem(_ token: String) async -> Redeemed? {
        guard let redeemed = await self.verify(token) else {
            self.refused.increment()
            return nil
        }
        self.redeemed.increment()
        return redeemed
    }

    private func sign(
        _ content: Content?, id: String, _ now: Timestamp, _ until: Timestamp, _ keys: JWTKeyCollection
    ) async throws -> String {
        let claims = Claims(
            aud: AudienceClaim(value: Self.audience), jti: IDClaim(value: id), iat: IssuedAtClaim(value: now.date),
            exp: ExpirationClaim(value: until.date), content: content)
        return try await keys.sign(claims, header: ["typ": .string(Self.type)])
    }

    private func verify(_ token: String) async -> Redeemed? {
        // `try?`: a token that is not one of ours is worth nothing, whatever is wrong with it.
        guard let keys = self.keys, Self.isOurKind(token), let claims = try? await keys.verify(token, as: Claims.self)
        else { return nil }
        let until = Timestamp(claims.exp.value)
        let issued = Timestamp(claims.iat.value)
        do throws(CommandFailure) {
            let spent = try await self.commands.call(
                SpendToken(id: claims.jti.value, until: until), timeout: Self.timeout)
            guard spent.isFirst else { return nil }
            guard let content = claims.content ?? spent.content.flatMap(Self.content) else { return nil }
            return Redeemed(content: content, issued: issued)
        } catch {
            // Auth is away. Each gateway then takes a token once by its own count.
            guard [.unavailable, .deadlineExceeded].contains(error.code), let content = claims.content,
                self.takeUnshared(claims.jti.value, until: until)
            else { return nil }
            self.unshared.increment()
            return Redeemed(content: content, issued: issued)
        }
    }

    /// jwt-kit goes by the key alone; a token that says something else of itself was changed.
    private static func isOurKind(_ token: String) -> Bool {
        // `try?`: as above.
        guard let parsed = try? DefaultJWTParser().parse(Array(token.utf8), as: Claims.self) else { return false }
        return parsed.header.alg == "HS256" && parsed.header.typ == Self.type
    }

    private static func content(_ text: String) -> Content? {
        // `try?`: what does not decode was kept by a gateway of another version, and is worth nothing here.
        try? JSON.decode(Content.self, from: Array(text.utf8))
    }

    private func takeUnshared(_ id: String, until: Timestamp) -> Bool {
        self.taken.withLockedValue { taken in
            if taken.count >= Self.tidyCount {
                let now = Timestamp.now
                taken = taken.filter { $0.value > now }
            }
            return taken.updateValue(until, forKey: id) == nil
        }
    }
}
