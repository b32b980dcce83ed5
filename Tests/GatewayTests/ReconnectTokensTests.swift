import Bus
import Crypto
import Dialects
import Events
import FoundationEssentials
import JWTKit
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Gateway

/// Tokens that take a client from one gateway to another, with an auth that only counts them.
@Suite struct ReconnectTokensTests {
    private static let key = [UInt8](repeating: 7, count: 32)

    /// Auth's part: what was spent and what is kept.
    private final class Auth: Sendable {
        let spent = NIOLockedValueBox<Set<String>>([])
        let kept = NIOLockedValueBox<[String: String]>([:])

        func answer(_ server: CommandServer) {
            server.answer(SpendToken.self) { [spent, kept] command in
                guard spent.withLockedValue({ $0.insert(command.id).inserted }) else {
                    return SpendToken.Answer(isFirst: false)
                }
                return SpendToken.Answer(
                    isFirst: true, content: kept.withLockedValue { $0.removeValue(forKey: command.id) })
            }
            server.answer(KeepToken.self) { [kept] command in
                kept.withLockedValue { $0[command.id] = command.content }
                return KeepToken.Answer()
            }
        }
    }

    private func content(subscriptions: Int = 1) -> ReconnectTokens.Content {
        let principal = Principal(
            subject: "s", name: "n", tenant: "t", scopes: [.all], credential: .jwt, credentialID: "c")
        let rows = (0..<subscriptions).map { JSON.array(["channel.tips", .string("room-\($0)-\(ULID().text)"), 0]) }
        return ReconnectTokens.Content(
            handOver: HandOver(principals: [principal], session: ["client_id": "c", "subs": .array(rows)]),
            positions: ["obs-bridge": Position(epoch: UInt64.max - 1, term: 1_700_000_000_000, seq: 12)],
            since: .now)
    }

    /// Two gateways with one key, and auth beside them.
    private func with(
        isAuthThere: Bool = true, _ body: @Sendable (ReconnectTokens, ReconnectTokens, Auth) async throws -> Void
    ) async throws {
        let endpoint = freeEndpoint()
        let auth = Auth()
        let server = CommandServer(endpoint: endpoint, logger: quiet)
        auth.answer(server)
        let commands = CommandClient(
            endpoints: [.auth: BusEndpoints(events: endpoint, commands: endpoint)], logger: quiet)
        let tokens = await ReconnectTokens(key: Self.key, commands: commands, logger: quiet)
        let other = await ReconnectTokens(key: Self.key, commands: commands, logger: quiet)
        if isAuthThere {
            try await TestSupport.with(commands, server) {
                // Whoever asks before auth listens is told that it is away.
                while (try? await commands.call(SpendToken(id: ULID().text, until: .now))) == nil {}
                try await body(tokens, other, auth)
            }
        } else {
            try await TestSupport.with(commands) { try await body(tokens, other, auth) }
        }
    }

    @Test func `a token is worth what it was made of, at any gateway and once`() async throws {
        try await self.with { tokens, other, _ in
            let content = self.content()
            let token = try #require(await tokens.issue(content))
            #expect(token.utf8.count <= 4096)
            let redeemed = try #require(await other.redeem(token))
            #expect(redeemed.content.handOver == content.handOver)
            #expect(
                redeemed.content.told == [.obsBridge: Position(epoch: UInt64.max - 1, term: 1_700_000_000_000, seq: 12)]
            )
            #expect(await tokens.redeem(token) == nil)
            #expect(await other.redeem(token) == nil)
        }
    }

    @Test func `what is too much for a URL is kept by auth, and told once`() async throws {
        try await self.with { tokens, other, auth in
            let content = self.content(subscriptions: 256)
            let token = try #require(await tokens.issue(content))
            #expect(token.utf8.count <= 4096)
            #expect(auth.kept.withLockedValue { $0.count } == 1)
            #expect(await other.redeem(token)?.content.handOver == content.handOver)
            #expect(auth.kept.withLockedValue { $0.isEmpty })
        }
    }

    @Test func `without auth a token counts once at each gateway, and what it would have to keep is not given`()
        async throws
    {
        try await self.with(isAuthThere: false) { tokens, other, _ in
            let token = try #require(await tokens.issue(self.content()))
            #expect(await other.redeem(token) != nil)
            #expect(await other.redeem(token) == nil)
            #expect(await tokens.redeem(token) != nil)
            #expect(await tokens.issue(self.content(subscriptions: 256)) == nil)
        }
    }

    @Test func `what is not ours, was changed, or has ended is worth nothing`() async throws {
        try await self.with { tokens, _, _ in
            let token = try #require(await tokens.issue(self.content()))
            let parts = token.split(separator: ".").map(String.init)
            // An algorithm that is none, and an HMAC with the key as the text of a public key would be.
            let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.\(parts[1])."
            let foreign = JWTKeyCollection()
            await foreign.add(
                hmac: HMACKey(key: .init(data: [UInt8](repeating: 8, count: 32))), digestAlgorithm: .sha256)
            let ours = JWTKeyCollection()
            await ours.add(hmac: HMACKey(key: .init(data: Self.key)), digestAlgorithm: .sha256)
            let stranger = try await foreign.sign(Claims(exp: ExpirationClaim(value: .now + 60)))
            let ended = try await ours.sign(Claims(exp: ExpirationClaim(value: .now - 1)))
            let elsewhere = try await ours.sign(Claims(aud: "somebody", exp: ExpirationClaim(value: .now + 60)))
            let changed = parts[0] + "." + parts[1].dropLast() + (parts[1].last == "A" ? "B" : "A") + "." + parts[2]
            for bad in ["", "x", "a.b.c", none, stranger, ended, elsewhere, changed, String(token.dropLast())] {
                #expect(await tokens.redeem(bad) == nil, "\(bad)")
            }
            #expect(await tokens.redeem(token) != nil)
        }
    }

    @Test func `a token of an earlier version, which does not say in which term a position is, is worth nothing`()
        async throws
    {
        try await self.with { tokens, _, _ in
            let ours = JWTKeyCollection()
            await ours.add(hmac: HMACKey(key: .init(data: Self.key)), digestAlgorithm: .sha256)
            let content = String(decoding: JSON.encode(self.content()), as: UTF8.self)
                .replacing(/"epoch":\d+/, with: "\"epoch\":7")
            let older = content.replacing(/"term":\d+,?/, with: "")
            #expect(older != content)
            for (text, isGood) in [(content, true), (older, false)] {
                let claims = Claims(
                    jti: IDClaim(value: ULID().text), exp: ExpirationClaim(value: .now + 60),
                    content: JSON(parsing: Array(text.utf8)))
                let token = try await ours.sign(claims, header: ["typ": "reconnect+jwt"])
                #expect((await tokens.redeem(token) != nil) == isGood)
            }
        }
    }

    @Test func `without a key there are no tokens`() async throws {
        let commands = CommandClient(endpoints: [:], logger: quiet)
        let tokens = await ReconnectTokens(key: nil, commands: commands, logger: quiet)
        #expect(await tokens.issue(self.content()) == nil)
        #expect(await tokens.redeem("x") == nil)
    }

    private struct Claims: JWTPayload {
        var aud: AudienceClaim = "crosspoint-gateway"
        var jti: IDClaim = "id"
        var iat = IssuedAtClaim(value: .now)
        var exp: ExpirationClaim
        var content: JSON?

        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }
}
