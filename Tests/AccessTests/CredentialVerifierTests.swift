import Bus
import Events
import FoundationEssentials
import JWTKit
import Logging
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Access

/// Auth as a verifier sees it: keys, credentials, and how often it was asked.
private final class FakeAuth: Sendable {
    static let issuer = "https://auth.example"

    struct State {
        var keys: [(id: String, key: ES256PrivateKey)] = []
        var principals: [String: Principal] = [:]
        var fetches = 0
        var introspections = 0
    }

    let endpoint = freeEndpoint()
    let state = NIOLockedValueBox(State())

    init() { self.addKey("first") }

    func addKey(_ id: String) { self.state.withLockedValue { $0.keys.append((id, ES256PrivateKey())) } }

    var jwks: String {
        let keys = self.state.withLockedValue { $0.keys }.map { id, key in
            let point = key.publicKey.parameters
            let x = point?.x ?? ""
            let y = point?.y ?? ""
            return #"{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"\#(id)","x":"\#(x)","y":"\#(y)"}"#
        }
        return #"{"keys":[\#(keys.joined(separator: ","))]}"#
    }

    func server() -> CommandServer {
        let server = CommandServer(endpoint: self.endpoint, logger: quiet)
        server.answer(FetchKeys.self) { [self] _ in
            self.state.withLockedValue { $0.fetches += 1 }
            return FetchKeys.Answer(issuer: Self.issuer, jwks: self.jwks)
        }
        server.answer(Introspect.self) { [self] command in
            self.state.withLockedValue { state in
                state.introspections += 1
                return Introspection(principal: state.principals[command.token])
            }
        }
        return server
    }

    func client() -> CommandClient {
        CommandClient(endpoints: [.auth: BusEndpoints(events: "", commands: self.endpoint)], logger: quiet)
    }

    /// An access token, with something wrong with it if wanted.
    func token(
        key: String = "first", issuer: String = FakeAuth.issuer, expires: Double = 600, issued: Double = 0,
        _ change: (inout AccessTokenClaims) -> Void = { _ in }
    ) async throws -> String {
        var claims = AccessTokenClaims(
            principal: .known(), issuer: issuer, id: "token-1", issued: Date().addingTimeInterval(issued),
            expires: Date().addingTimeInterval(expires))
        change(&claims)
        let signing = try #require(self.state.withLockedValue { $0.keys.first { $0.id == key }?.key })
        let collection = JWTKeyCollection()
        await collection.add(ecdsa: signing, kid: JWKIdentifier(string: key))
        return try await collection.sign(claims, kid: JWKIdentifier(string: key))
    }
}

extension Principal {
    fileprivate static func known(_ credential: CredentialKind = .jwt, expires: Timestamp? = nil) -> Principal {
        Principal(
            subject: "user-1", name: "Ada", tenant: "studio", scopes: [.radioRead], stations: ["one"],
            credential: credential,
            credentialID: "key-1", expires: expires, tier: .pro)
    }
}

@Suite struct CredentialVerifierTests {
    private static func revocation(_ kind: CredentialRevoked.Kind, _ id: String) -> Event {
        Event(CredentialRevoked(kind: kind, id: id), tenant: "default", publisher: .auth)
    }

    private let auth = FakeAuth()

    private func error(_ body: () async throws -> some Any) async -> AccessError? {
        do {
            _ = try await body()
            return nil
        } catch {
            return error as? AccessError
        }
    }

    private func isInvalid(_ body: () async throws -> some Any) async -> Bool {
        guard case .invalid = await self.error(body) else { return false }
        return true
    }

    /// A verifier that has keys, with auth there.
    private func withVerifier(_ body: @Sendable (CredentialVerifier) async throws -> Void) async throws {
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, logger: quiet)
        try await with(client, self.auth.server()) {
            try await self.haveKeys(verifier)
            try await body(verifier)
        }
    }

    private func haveKeys(_ verifier: CredentialVerifier) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        let token = try await self.auth.token()
        // `try?`: auth may not be there yet.
        while !verifier.hasKeys, ContinuousClock.now < deadline {
            _ = try? await verifier.verify(token, remoteAddress: nil)
        }
        #expect(verifier.hasKeys)
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

    @Test func `a key that is new to us is fetched, once in a while`() async throws {
        try await self.withVerifier { verifier in
            _ = try await verifier.verify(try await self.auth.token(), remoteAddress: nil)
            self.auth.addKey("second")
            let token = try await self.auth.token(key: "second")
            let deadline = ContinuousClock.now + .seconds(10)
            // Keys were asked for a moment ago, so it may take another.
            while await self.isInvalid({ try await verifier.verify(token, remoteAddress: nil) }),
                ContinuousClock.now < deadline
            {
                try await Task.sleep(for: .milliseconds(20))
            }
            _ = try await verifier.verify(token, remoteAddress: nil)
            let fetches = self.auth.state.withLockedValue { $0.fetches }
            // Rubbish that names unknown keys does not become a flood of questions.
            let unknown = FakeAuth()
            unknown.addKey("third")
            let rubbish = try await unknown.token(key: "third")
            for _ in 0..<20 { #expect(await self.isInvalid { try await verifier.verify(rubbish, remoteAddress: nil) }) }
            #expect(self.auth.state.withLockedValue { $0.fetches } == fetches)
        }
    }

    @Test func `with auth away tokens are still verified, once there were keys`() async throws {
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, logger: quiet)
        let token = try await self.auth.token()
        try await with(client) {
            #expect(!verifier.hasKeys)
            #expect(await self.error { try await verifier.verify(token, remoteAddress: nil) } == .unavailable)
            #expect(await self.error { try await verifier.verify("opaque", remoteAddress: nil) } == .unavailable)
            try await with(self.auth.server()) { try await self.haveKeys(verifier) }
            #expect(try await verifier.verify(token, remoteAddress: nil).subject == "user-1")
            #expect(await self.error { try await verifier.verify("opaque", remoteAddress: nil) } == .unavailable)
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

    @Test func `what is forgotten is asked again`() async throws {
        self.auth.state.withLockedValue { $0.principals["good"] = .known(.apiKey) }
        try await self.withVerifier { verifier in
            _ = try await verifier.verify("good", remoteAddress: nil)
            self.auth.state.withLockedValue { $0.principals = [:] }
            verifier.hear([Self.revocation(.apiKey, "another")])
            #expect(await self.isInvalid { try await verifier.verify("good", remoteAddress: nil) })
        }
    }

    @Test func `an answer from before a revocation is not remembered`() async throws {
        let (asked, gate) = (NIOLockedValueBox(0), NIOLockedValueBox(false))
        let client = self.auth.client()
        let verifier = CredentialVerifier(commands: client, logger: quiet)
        let server = self.auth.server()
        server.answer(Introspect.self) { _ in
            let isFirst = asked.withLockedValue { asked in
                asked += 1
                return asked == 1
            }
            guard isFirst else { return Introspection(principal: nil) }
            while !gate.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(5)) }
            return Introspection(principal: .known(.apiKey))
        }
        try await with(client, server) {
            try await self.haveKeys(verifier)
            async let early = verifier.verify("key", remoteAddress: nil)
            try await eventually { asked.withLockedValue { $0 } == 1 }
            verifier.hear([Self.revocation(.apiKey, "another")])
            gate.withLockedValue { $0 = true }
            _ = try await early
            #expect(await self.isInvalid { try await verifier.verify("key", remoteAddress: nil) })
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
