import Bus
import Events
import FoundationEssentials
import JWTKit
import Logging
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Access

@Suite struct CredentialVerifierTests {
    private static func revocation(_ kind: CredentialRevoked.Kind, _ id: String) -> Event {
        Event(CredentialRevoked(kind: kind, id: id), tenant: "default", publisher: .auth)
    }

    private let auth = FakeAuth()

    private func isInvalid(_ body: () async throws -> some Any) async -> Bool {
        guard case .invalid = await accessError(body) else { return false }
        return true
    }

    private func withVerifier(_ body: @Sendable (CredentialVerifier) async throws -> Void) async throws {
        try await AccessTests.withVerifier(self.auth, body)
    }

    @Test func `a valid token says whose it is`() async throws {
        try await self.withVerifier { verifier in
            let principal = try await verifier.verify(try await self.auth.token(), remoteAddress: nil)
            #expect(principal.subject == "user-1")
            #expect(principal.tenant == "studio")
            #expect(principal.scopes == [.radioRead])
            #expect(principal.stations == ["one"])
            #expect(principal.tier == .pro)
            #expect(principal.credential == .jwt)
            #expect(principal.credentialID == "token-1")
            #expect(principal.expires != nil)
        }
    }

    @Test func `a token that was changed is refused`() async throws {
        try await self.withVerifier { verifier in
            let token = try await self.auth.token()
            let parts = token.split(separator: ".").map(String.init)
            let other = try await self.auth.token { $0.tenant = "elsewhere" }.split(separator: ".").map(String.init)
            let forged = [
                [parts[0], other[1], parts[2]], [parts[0], parts[1], other[2]], [parts[0], parts[1], ""],
                ["", parts[1], parts[2]],
                [parts[0], "e30", parts[2]], ["..", "..", ".."],
            ]
            for parts in forged {
                let token = parts.joined(separator: ".")
                #expect(await self.isInvalid { try await verifier.verify(token, remoteAddress: nil) }, "\(token)")
            }
        }
    }

    @Test func `the clock may differ by a minute, not by more`() async throws {
        try await self.withVerifier { verifier in
            let (fresh, old) = (try await self.auth.token(expires: -30), try await self.auth.token(expires: -90))
            _ = try await verifier.verify(fresh, remoteAddress: nil)
            #expect(await self.isInvalid { try await verifier.verify(old, remoteAddress: nil) })
            let (near, far) = (try await self.auth.token(issued: 30), try await self.auth.token(issued: 90))
            _ = try await verifier.verify(near, remoteAddress: nil)
            #expect(await self.isInvalid { try await verifier.verify(far, remoteAddress: nil) })
        }
    }

    @Test func `a token for others, or of others, is refused`() async throws {
        try await self.withVerifier { verifier in
            let audience = try await self.auth.token { $0.aud = AudienceClaim(value: ["another-suite"]) }
            let issuer = try await self.auth.token(issuer: "https://evil.example")
            #expect(await self.isInvalid { try await verifier.verify(audience, remoteAddress: nil) })
            #expect(await self.isInvalid { try await verifier.verify(issuer, remoteAddress: nil) })
        }
    }

    @Test func `the algorithm is ours to say, not the token's`() async throws {
        try await self.withVerifier { verifier in
            let body = try await self.auth.token().split(separator: ".")[1]
            let unsigned = Data(#"{"alg":"none","typ":"JWT","kid":"first"}"#.utf8).base64EncodedString()
                .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
            #expect(await self.isInvalid { try await verifier.verify("\(unsigned).\(body).", remoteAddress: nil) })

            let claims = AccessTokenClaims(
                principal: .known(), issuer: FakeAuth.issuer, id: "forged", issued: Date(),
                expires: Date().addingTimeInterval(60))
            let key = try #require(self.auth.state.withLockedValue { $0.keys.first?.key })
            let collection = JWTKeyCollection()
            let secret = HMACKey(from: Data(key.publicKey.pemRepresentation.utf8))
            await collection.add(hmac: secret, digestAlgorithm: .sha256, kid: "first")
            let forged = try await collection.sign(claims, kid: "first")
            #expect(await self.isInvalid { try await verifier.verify(forged, remoteAddress: nil) })
        }
    }

    @Test func `with auth away tokens are still verified, once there were keys`() async throws {
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        let token = try await self.auth.token()
        try await with(client) {
            #expect(!verifier.hasKeys)
            #expect(await accessError { try await verifier.verify(token, remoteAddress: nil) } == .unavailable)
            #expect(await accessError { try await verifier.verify("opaque", remoteAddress: nil) } == .unavailable)
            try await with(self.auth.server()) { try await haveKeys(verifier, self.auth) }
            #expect(try await verifier.verify(token, remoteAddress: nil).subject == "user-1")
            #expect(await accessError { try await verifier.verify("opaque", remoteAddress: nil) } == .unavailable)
        }
    }

    @Test func `an opaque credential is asked about once, the answer being yes or no`() async throws {
        self.auth.state.withLockedValue { $0.principals["good"] = .known(.apiKey) }
        try await self.withVerifier { verifier in
            for _ in 0..<5 {
                #expect(try await verifier.verify("good", remoteAddress: "192.0.2.1").credential == .apiKey)
                #expect(await self.isInvalid { try await verifier.verify("bad", remoteAddress: "192.0.2.1") })
            }
            #expect(self.auth.state.withLockedValue { $0.introspections } == 2)
            // A key may be bound to addresses.
            _ = try await verifier.verify("good", remoteAddress: "192.0.2.2")
            #expect(self.auth.state.withLockedValue { $0.introspections } == 3)
        }
    }

    @Test(arguments: [
        (CredentialRevoked.Kind.token, "token-1", false), (.token, "token-2", true), (.user, "user-1", false),
        (.apiKey, "user-1", true),
    ])
    func `an access token ends with its revocation, or its user's`(
        kind: CredentialRevoked.Kind, id: String, isGood: Bool
    )
        async throws
    {
        try await self.withVerifier { verifier in
            verifier.hear([Self.revocation(kind, id)])
            let token = try await self.auth.token()
            #expect(await self.isInvalid { try await verifier.verify(token, remoteAddress: nil) } == !isGood)
        }
    }

    @Test func `an answer that is remembered does not outlive the revocation`() async throws {
        self.auth.state.withLockedValue { state in
            state.principals = ["good": .known(.apiKey), "other": .known(.oauth2)]
        }
        try await self.withVerifier { verifier in
            for token in ["good", "other"] { _ = try await verifier.verify(token, remoteAddress: nil) }
            verifier.hear([Self.revocation(.apiKey, "key-1")])
            #expect(await accessError { try await verifier.verify("good", remoteAddress: nil) } == .invalid("revoked"))
            _ = try await verifier.verify("other", remoteAddress: nil)
            // Nobody was asked again for what the revocation does not concern.
            #expect(self.auth.state.withLockedValue { $0.introspections } == 2)
        }
    }

    @Test func `a revocation that nobody can read makes every answer count for nothing`() async throws {
        self.auth.state.withLockedValue { $0.principals["good"] = .known(.apiKey) }
        try await self.withVerifier { verifier in
            _ = try await verifier.verify("good", remoteAddress: nil)
            self.auth.state.withLockedValue { $0.principals = [:] }
            var event = Self.revocation(.apiKey, "another")
            event.data = Array(#"{"kind":"of-another-version","id":"x"}"#.utf8)
            verifier.hear([event])
            #expect(await self.isInvalid { try await verifier.verify("good", remoteAddress: nil) })
        }
    }

    @Test func `an answer that was on its way when its key was revoked is refused`() async throws {
        let (asked, gate) = (NIOLockedValueBox(0), NIOLockedValueBox(false))
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        let server = self.auth.server()
        server.answer(Introspect.self) { _ in
            asked.withLockedValue { $0 += 1 }
            while !gate.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
            return Introspection(principal: .known(.apiKey))
        }
        try await with(client, server) {
            await self.auth.contact(client)
            async let early = accessError { try await verifier.verify("key", remoteAddress: nil) }
            try await eventually { asked.withLockedValue { $0 } == 1 }
            verifier.hear([Self.revocation(.apiKey, "key-1")])
            gate.withLockedValue { $0 = true }
            #expect(await early == .invalid("revoked"))
            #expect(await self.isInvalid { try await verifier.verify("key", remoteAddress: nil) })
        }
    }

    @Test func `who asks about the same credential at once is answered by one question`() async throws {
        let (asked, gate) = (NIOLockedValueBox(0), NIOLockedValueBox(false))
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
        let server = self.auth.server()
        server.answer(Introspect.self) { _ in
            asked.withLockedValue { $0 += 1 }
            while !gate.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
            return Introspection(principal: .known(.apiKey))
        }
        try await with(client, server) {
            await self.auth.contact(client)
            try await withThrowingTaskGroup(of: Principal.self) { group in
                let gone = Task { try await verifier.verify("key", remoteAddress: nil) }
                try await eventually { asked.withLockedValue { $0 } == 1 }
                for _ in 0..<50 { group.addTask { try await verifier.verify("key", remoteAddress: nil) } }
                // Whoever asked first and goes takes nobody along: one of the others asks.
                // Nothing outside tells when they have joined the question.
                try await Task.sleep(for: .milliseconds(200))
                gone.cancel()
                _ = await gone.result
                try await eventually { asked.withLockedValue { $0 } == 2 }
                gate.withLockedValue { $0 = true }
                for try await principal in group { #expect(principal.subject == "user-1") }
            }
            #expect(asked.withLockedValue { $0 } == 2)
        }
    }

    @Test func `an address that guessed too often is told when to come again, and nothing is remembered of it`()
        async throws
    {
        self.auth.state.withLockedValue { state in
            state.principals["good"] = .known(.apiKey)
            state.retryAfter = 7
        }
        try await self.withVerifier { verifier in
            for _ in 0..<2 {
                let error = await accessError { try await verifier.authenticate("good", "192.0.2.1") }
                #expect(error == .limited(retryAfter: 7))
            }
            self.auth.state.withLockedValue { $0.retryAfter = nil }
            _ = try await verifier.authenticate("good", "192.0.2.1")
        }
    }

    @Test func `a ticket counts once, stands for any kind, and is nothing to an API`() async throws {
        self.auth.state.withLockedValue { $0.tickets = ["xptk_1": .known(), "xptk_2": .known()] }
        try await self.withVerifier { verifier in
            let refused = await accessError { try await verifier.authenticate("xptk_1", nil) }
            #expect(refused == .invalid("ticket"))
            #expect(self.auth.state.withLockedValue { $0.redemptions } == 0)
            let principal = try await verifier.verify("xptk_1", kind: .apiKey, remoteAddress: nil)
            #expect(principal == .known())
            #expect(await self.isInvalid { try await verifier.verify("xptk_1", remoteAddress: nil) })
            #expect(self.auth.state.withLockedValue { $0.redemptions } == 2)
            // Whom it was made for was revoked meanwhile.
            verifier.hear([Self.revocation(.token, "key-1")])
            #expect(
                await accessError { try await verifier.verify("xptk_2", remoteAddress: nil) } == .invalid("revoked"))
        }
    }

    @Test func `a token that was verified is remembered until it ends or its keys change`() async throws {
        try await self.withVerifier { verifier in
            let token = try await self.auth.token()
            let digest = CredentialDigest(token)
            _ = try await verifier.verify(token, remoteAddress: nil)
            let memory = TokenMemory()
            let kept = try await verifier.verify(token, remoteAddress: nil)
            memory.keep(kept, digest, version: 1)
            #expect(memory.principal(digest, version: 1) == kept)
            #expect(memory.principal(digest, version: 2) == nil)
            var ended = kept
            ended.expires = .now + .seconds(-61)
            memory.keep(ended, digest, version: 1)
            #expect(memory.principal(digest, version: 1) == nil)
            // Verified with keys that have changed since: not kept.
            memory.keep(kept, digest, version: 3)
            memory.keep(kept, CredentialDigest("other"), version: 2)
            #expect(memory.principal(CredentialDigest("other"), version: 3) == nil)
            // A remembered token is looked up among the revocations as well.
            verifier.hear([Self.revocation(.token, "token-1")])
            #expect(await accessError { try await verifier.verify(token, remoteAddress: nil) } == .invalid("revoked"))
        }
    }

    @Test(arguments: [
        ("JWT", false), ("at+jwt", true), ("AT+JWT", true), ("application/at+jwt", true), ("rt+jwt", false),
    ])
    func `our own token says that it is one`(type: String, isGood: Bool) async throws {
        try await self.withVerifier { verifier in
            let token = try await self.auth.token(header: ["typ": .string(type)])
            #expect(await self.isInvalid { try await verifier.verify(token, remoteAddress: nil) } == !isGood)
        }
    }

    @Test func `a header that must be understood and is not makes the token worth nothing`() async throws {
        try await self.withVerifier { verifier in
            let token = try await self.auth.token(header: ["typ": "at+jwt", "crit": .array(["exp"])])
            #expect(await accessError { try await verifier.verify(token, remoteAddress: nil) } == .invalid("type"))
        }
    }

    @Test func `what was refused here is added up for auth, without the credential`() async throws {
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, process: .streamMetrics, logger: quiet)
        try await with(client, self.auth.server(), verifier) {
            try await eventually { verifier.hasKeys }
            let old = try await self.auth.token(expires: -90)
            for _ in 0..<3 { _ = await accessError { try await verifier.authenticate(old, "192.0.2.1") } }
            for _ in 0..<2 { _ = await accessError { try await verifier.authenticate("a.b.c", "192.0.2.2") } }
            // Auth's own no is its own to note.
            _ = await accessError { try await verifier.authenticate("nobody", "192.0.2.3") }
            try await eventually { !self.auth.state.withLockedValue { $0.refusals.isEmpty } }
            let refusals = Set(self.auth.state.withLockedValue { $0.refusals })
            let expected: Set = [
                ReportRefusals.Refusal(address: "192.0.2.1", reason: "expired", count: 3),
                ReportRefusals.Refusal(address: "192.0.2.2", reason: "malformed", count: 2),
            ]
            #expect(refusals == expected)
        }
    }

    @Test func `refusals of very many addresses take no more than 200 lines`() async throws {
        let tally = RefusalTally(process: .gateway)
        let client = self.auth.client()
        for number in 0..<5000 { tally.note(.signature, from: "address \(number)") }
        for number in 0..<5000 { tally.note(.expired, from: "address \(number)") }
        try await with(client, self.auth.server()) {
            await self.auth.contact(client)
            await tally.report(client)
            let refusals = self.auth.state.withLockedValue { $0.refusals }
            #expect(refusals.count <= 200)
            #expect(refusals.reduce(0) { $0 + $1.count } == 10_000)
            await tally.report(client)
            #expect(self.auth.state.withLockedValue { $0.refusals }.count == refusals.count)
        }
    }

    @Test func `an expired credential is refused, remembered or not`() async throws {
        self.auth.state.withLockedValue { $0.principals["old"] = .known(.apiKey, expires: .now + .seconds(-1)) }
        try await self.withVerifier { verifier in
            for _ in 0..<2 { #expect(await self.isInvalid { try await verifier.verify("old", remoteAddress: nil) }) }
        }
    }

    @Test func `a credential of another kind than was said is refused`() async throws {
        self.auth.state.withLockedValue { $0.principals["good"] = .known(.apiKey) }
        try await self.withVerifier { verifier in
            let token = try await self.auth.token()
            _ = try await verifier.verify("good", kind: .apiKey, remoteAddress: nil)
            _ = try await verifier.verify(token, kind: .jwt, remoteAddress: nil)
            _ = try await verifier.verify(token, kind: .oauth2, remoteAddress: nil)
            #expect(await self.isInvalid { try await verifier.verify("good", kind: .jwt, remoteAddress: nil) })
            #expect(await self.isInvalid { try await verifier.verify("good", kind: .oauth2, remoteAddress: nil) })
            #expect(await self.isInvalid { try await verifier.verify(token, kind: .apiKey, remoteAddress: nil) })
        }
    }

    @Test func `what is too long or empty is refused without asking`() async throws {
        try await self.withVerifier { verifier in
            let long = String(repeating: "x", count: 8193)
            #expect(await self.isInvalid { try await verifier.verify(long, remoteAddress: nil) })
            #expect(await self.isInvalid { try await verifier.verify("", remoteAddress: nil) })
            #expect(self.auth.state.withLockedValue { $0.introspections } == 0)
        }
    }
}
