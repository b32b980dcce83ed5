import Bus
import Events
import Foundation
import JWTKit
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Access

/// Auth as a verifier sees it: keys, credentials, revocations, and how often it was asked.
final class FakeAuth: Sendable {
    static let issuer = "https://auth.example"

    struct State {
        var keys: [(id: String, key: ES256PrivateKey)] = []
        var others: [TrustedIssuer] = []
        var principals: [String: Principal] = [:]
        var tickets: [String: Principal] = [:]
        var retryAfter: Int?
        var revocations: [CredentialRevoked] = []
        var refusals: [ReportRefusals.Refusal] = []
        var fetches = 0
        var introspections = 0
        var redemptions = 0
        var polls: [Int64] = []
        /// Numbers of another term may have been given before.
        var term: UInt64?
        var pageSize = 1000
        var isDeaf = false
    }

    let endpoint = freeEndpoint()
    let state = NIOLockedValueBox(State())

    init() { self.addKey("first") }

    func addKey(_ id: String) { self.state.withLockedValue { $0.keys.append((id, ES256PrivateKey())) } }

    var jwks: String {
        "{\"keys\":[\(self.state.withLockedValue { $0.keys }.map(Self.document).joined(separator: ","))]}"
    }

    static func document(_ id: String, _ key: ES256PrivateKey) -> String {
        let point = key.publicKey.parameters
        let (x, y) = (Self.base64URL(point?.x ?? ""), Self.base64URL(point?.y ?? ""))
        return #"{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"\#(id)","x":"\#(x)","y":"\#(y)"}"#
    }

    static func base64URL(_ base64: String) -> String {
        base64.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    func server() -> CommandServer {
        let server = CommandServer(endpoint: self.endpoint, logger: quiet)
        server.answer(FetchKeys.self) { [self] _ in
            let others = self.state.withLockedValue { state in
                state.fetches += 1
                return state.others
            }
            return FetchKeys.Answer(issuer: Self.issuer, jwks: self.jwks, others: others)
        }
        server.answer(Introspect.self) { [self] command in
            self.state.withLockedValue { state in
                state.introspections += 1
                return Introspection(
                    principal: state.retryAfter == nil ? state.principals[command.token] : nil,
                    retryAfter: state.retryAfter)
            }
        }
        server.answer(RedeemTicket.self) { [self] command in
            self.state.withLockedValue { state in
                state.redemptions += 1
                return Introspection(principal: state.tickets.removeValue(forKey: command.ticket))
            }
        }
        server.answer(FetchRevocations.self) { [self] command in
            try self.state.withLockedValue { state in
                state.polls.append(command.after)
                guard !state.isDeaf else { throw CommandFailure(.unavailable, "no database") }
                let after = command.after > state.revocations.count ? 0 : Int(command.after)
                let page = state.revocations.dropFirst(after).prefix(state.pageSize)
                let last = Int64(after + page.count)
                return FetchRevocations.Answer(
                    revocations: Array(page), last: last, hasMore: Int(last) < state.revocations.count,
                    term: state.term)
            }
        }
        server.answer(ReportRefusals.self) { [self] command in
            self.state.withLockedValue { $0.refusals += command.refusals }
            return ReportRefusals.Answer()
        }
        return server
    }

    func client() -> CommandClient {
        CommandClient(endpoints: [.auth: BusEndpoints(events: "", commands: self.endpoint)], logger: quiet)
    }

    /// Waits until auth answers that client.
    func contact(_ client: CommandClient) async {
        // `try?`: it is not there yet.
        while (try? await client.call(FetchKeys())) == nil {}
    }

    /// An access token, with something wrong with it if wanted.
    func token(
        key: String = "first", issuer: String = FakeAuth.issuer, expires: Double = 600, issued: Double = 0,
        id: String = "token-1", header: JWTHeader = ["typ": "at+jwt"],
        _ change: (inout AccessTokenClaims) -> Void = { _ in }
    ) async throws -> String {
        var claims = AccessTokenClaims(
            principal: .known(), issuer: issuer, id: id, issued: Date().addingTimeInterval(issued),
            expires: Date().addingTimeInterval(expires))
        change(&claims)
        let signing = try #require(self.state.withLockedValue { $0.keys.first { $0.id == key }?.key })
        return try await Self.sign(claims, with: signing, key: key, header: header)
    }

    static func sign(
        _ claims: some JWTPayload, with key: ES256PrivateKey, key id: String, header: JWTHeader = ["typ": "at+jwt"]
    ) async throws -> String {
        let collection = JWTKeyCollection()
        await collection.add(ecdsa: key, kid: JWKIdentifier(string: id))
        return try await collection.sign(claims, kid: JWKIdentifier(string: id), header: header)
    }
}

extension Principal {
    static func known(_ credential: CredentialKind = .jwt, expires: Timestamp? = nil) -> Principal {
        Principal(
            subject: "user-1", name: "Ada", tenant: "studio", scopes: [.radioRead], stations: ["one"],
            credential: credential, credentialID: "key-1", expires: expires, tier: .pro)
    }
}

/// What `body` throws, if it does.
func accessError(_ body: () async throws -> some Any) async -> AccessError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? AccessError
    }
}

/// A verifier's first contact with auth.
func haveKeys(_ verifier: CredentialVerifier, _ auth: FakeAuth) async throws {
    let token = try await auth.token(id: "probe")
    let deadline = ContinuousClock.now + .seconds(10)
    while !verifier.hasKeys, ContinuousClock.now < deadline {
        // `try?`: auth may not be there yet.
        _ = try? await verifier.verify(token, remoteAddress: nil)
    }
    #expect(verifier.hasKeys)
}

/// A verifier that has keys, with auth there. It does not run: nothing is fetched but what a credential needs.
func withVerifier(_ auth: FakeAuth, _ body: @Sendable (CredentialVerifier) async throws -> Void) async throws {
    let client = auth.client()
    let verifier = CredentialVerifier(commands: client, process: .gateway, logger: quiet)
    try await with(client, auth.server()) {
        try await haveKeys(verifier, auth)
        try await body(verifier)
    }
}
