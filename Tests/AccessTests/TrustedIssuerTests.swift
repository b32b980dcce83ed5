import Crypto
import CryptoExtras
import Events
import Foundation
import JWTKit
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Access

/// Tokens of other issuers: what they must be, and what they are worth here.
@Suite struct TrustedIssuerTests {
    private struct Claims: JWTPayload {
        var members: JSON
        init(_ members: JSON) { self.members = members }
        init(from decoder: any Decoder) throws { self.members = try JSON(from: decoder) }
        func encode(to encoder: any Encoder) throws { try self.members.encode(to: encoder) }
        func verify(using algorithm: some JWTAlgorithm) throws {}
    }

    private static let issuer = "https://id.example"
    private static let key = ES256PrivateKey()

    private static func trusted(
        algorithms: [String] = ["ES256"], types: [String]? = nil, tenantClaim: String? = nil,
        tenants: [String] = ["studio"],
        rules: [TrustedIssuer.Rule] = [.init(claim: "groups", value: "staff", scope: "radio:read streams:*")],
        keys: [String] = [FakeAuth.document("k1", Self.key)]
    ) -> TrustedIssuer {
        TrustedIssuer(
            issuer: Self.issuer, name: "corp", audience: "crosspoint-api", algorithms: algorithms, types: types,
            tenantClaim: tenantClaim, tenants: tenants, rules: rules,
            jwks: "{\"keys\":[\(keys.joined(separator: ","))]}")
    }

    private static func claims(_ changes: [String: JSON?] = [:]) -> Claims {
        let now = Int64(Date().timeIntervalSince1970)
        var members: [String: JSON] = [
            "iss": .string(Self.issuer), "sub": "42", "aud": ["other", "crosspoint-api"], "exp": .integer(now + 300),
            "iat": .integer(now), "jti": "j1", "groups": ["staff", "all"], "name": "Grace",
        ]
        for (name, value) in changes { members[name] = value }
        return Claims(.object(members))
    }

    private static func principal(
        _ changes: [String: JSON?] = [:], header: JWTHeader = ["typ": "at+jwt"],
        of issuer: TrustedIssuer = Self.trusted()
    ) async throws -> Principal {
        let sets = await KeySets(FetchKeys.Answer(issuer: FakeAuth.issuer, jwks: FakeAuth().jwks, others: [issuer]))
        let token = try await FakeAuth.sign(Self.claims(changes), with: Self.key, key: "k1", header: header)
        return try sets.principal(of: SignedToken(token))
    }

    @Test func `a token becomes a principal by the issuer's rules`() async throws {
        let principal = try await Self.principal()
        #expect(principal.subject == "corp|42" && principal.name == "Grace" && principal.tenant == "studio")
        #expect(principal.scopes == ["radio:read", "streams:*"])
        #expect(principal.credential == .jwt && principal.credentialID == "j1" && principal.signingKey == "k1")
        #expect(principal.expires != nil && principal.issued != nil && principal.client == nil)
    }

    @Test func `no token counts for longer than a revocation is kept`() async throws {
        let day = Int64(86_400)
        let now = Int64(Date().timeIntervalSince1970)
        let years: JSON = .integer(now + 3650 * day)
        let principal = try await Self.principal(["iat": .integer(now - 10 * day), "exp": years])
        #expect(principal.expires == Timestamp(milliseconds: (now + 20 * day) * 1000))
        await #expect(throws: LocalRefusal.expired) {
            _ = try await Self.principal(["iat": .integer(now - 31 * day), "exp": years])
        }
        let short = try await Self.principal(["iat": .integer(now - 10 * day), "exp": .integer(now + 60)])
        #expect(short.expires == Timestamp(milliseconds: (now + 60) * 1000))
    }

    @Test func `a token without an id is named by what was signed`() async throws {
        let id = try await Self.principal(["jti": .some(nil)]).credentialID
        #expect(id.count == 32 && id.allSatisfy(\.isHexDigit))
    }

    @Test func `claims give scopes by value, in a list, in a text of names, deep inside, or by being there`()
        async throws
    {
        let rules: [TrustedIssuer.Rule] = [
            .init(claim: "scp", value: "listen", scope: "radio:read"),
            .init(claim: "realm.roles", value: "producer", scope: "radio:write"),
            .init(claim: "https://example.com/vip", value: "true", scope: "tips:read"),
            .init(claim: "email", value: "*", scope: "obs:read"),
            .init(claim: "groups", value: "root", scope: "*"),
            .init(claim: "groups", value: "staff", scope: "auth:admin"),
        ]
        let principal = try await Self.principal(
            [
                "scp": "talk listen", "realm": ["roles": ["producer"]], "https://example.com/vip": true,
                "email": "g@example.com",
            ],
            of: Self.trusted(rules: rules))
        // Nobody else says who administers auth.
        #expect(principal.scopes == ["radio:read", "radio:write", "tips:read", "obs:read"])
    }

    @Test func `the tenant is one that the issuer may speak for`() async throws {
        let issuer = Self.trusted(tenantClaim: "org", tenants: ["red", "blue"])
        #expect(try await Self.principal(["org": "blue"], of: issuer).tenant == "blue")
        #expect(try await Self.principal(["org": ["green", "red"]], of: issuer).tenant == "red")
        for org: JSON? in ["green", ["red", "blue"], nil, 5] {
            await #expect(throws: LocalRefusal.tenant) { _ = try await Self.principal(["org": org], of: issuer) }
        }
    }

    @Test(
        arguments: [
            (["aud": "another"], LocalRefusal.audience), (["aud": .some(nil)], .audience),
            (["exp": .some(nil)], .claims),
            (["exp": "tomorrow"], .claims), (["exp": 1e300], .claims), (["exp": 1000], .expired),
            (["nbf": 99_999_999_999], .notYetValid), (["iat": 99_999_999_999], .notYetValid), (["sub": ""], .claims),
            (["sub": .some(nil)], .claims), (["sub": "a\u{0}b"], .claims), (["groups": "none"], .scope),
            (["iss": "https://evil.example"], .issuer), (["iss": .some(nil)], .claims),
            // What only an ID token has.
            (["nonce": "n"], .type), (["at_hash": "h"], .type), (["nonce": .some(.null)], .type),
        ] as [([String: JSON?], LocalRefusal)])
    func `what does not fit is refused`(changes: [String: JSON?], reason: LocalRefusal) async {
        await #expect(throws: reason) { _ = try await Self.principal(changes) }
    }

    @Test(
        arguments: [
            (["typ": "at+jwt"], nil), (["typ": "application/AT+JWT"], nil), ([:], .type), (["typ": "JWT"], .type),
            (["typ": ""], .type), (["typ": "logout+jwt"], .type), (["crit": .array([])], .type),
        ] as [([String: JWTHeaderField], LocalRefusal?)])
    func `a token for another purpose is refused`(fields: [String: JWTHeaderField], reason: LocalRefusal?) async throws
    {
        var header = JWTHeader()
        header.fields = fields
        guard let reason else {
            _ = try await Self.principal(header: header)
            return
        }
        await #expect(throws: reason) { _ = try await Self.principal(header: header) }
    }

    @Test func `an issuer whose access tokens have another type, or none, says so`() async throws {
        // JWTKit signs no token without a type.
        let signer = P256.Signing.PrivateKey()
        let keys = [FakeAuth.document("k1", try ES256PrivateKey(pem: signer.pemRepresentation))]
        func refusal(_ type: String?, _ types: [String]?, _ changes: [String: JSON?] = [:]) async throws
            -> LocalRefusal?
        {
            var header: [String: JSON] = ["alg": "ES256", "kid": "k1"]
            header["typ"] = type.map(JSON.string)
            let parts = [JSON.object(header), Self.claims(changes).members]
                .map { FakeAuth.base64URL(Data($0.bytes).base64EncodedString()) }
            let signed = parts.joined(separator: ".")
            let signature = try signer.signature(for: Data(signed.utf8)).rawRepresentation.base64EncodedString()
            let issuer = Self.trusted(types: types, keys: keys)
            let sets = await KeySets(FetchKeys.Answer(issuer: FakeAuth.issuer, jwks: FakeAuth().jwks, others: [issuer]))
            do throws(LocalRefusal) {
                _ = try sets.principal(of: SignedToken("\(signed).\(FakeAuth.base64URL(signature))"))
                return nil
            } catch {
                return error
            }
        }
        #expect(try await refusal("JWT", ["jwt"]) == nil)
        #expect(try await refusal(nil, [""]) == nil)
        #expect(try await refusal("at+jwt", nil) == nil)
        #expect(try await refusal("JWT", nil) == .type)
        #expect(try await refusal(nil, nil) == .type)
        #expect(try await refusal(nil, ["jwt"]) == .type)
        #expect(try await refusal("JWT", [""]) == .type)
        #expect(try await refusal("at+jwt", ["jwt"]) == .type)
        // An ID token is none of them, whatever its type.
        #expect(try await refusal("JWT", ["jwt"], ["nonce": "n"]) == .type)
        #expect(try await refusal(nil, [""], ["at_hash": "h"]) == .type)
    }

    @Test func `only the algorithms that were agreed on count, and no key serves two purposes`() async throws {
        let made = try _RSA.Signing.PrivateKey(keySize: .bits2048)
        let rsa = try Insecure.RSA.PrivateKey(pem: made.pemRepresentation)
        let edwards = try EdDSA.PrivateKey(curve: .ed25519)
        let collection = JWTKeyCollection()
        await collection.add(rsa: rsa, digestAlgorithm: .sha256, kid: "r")
        await collection.add(rsa: rsa, digestAlgorithm: .sha512, kid: "r512")
        await collection.add(rsa: rsa, digestAlgorithm: .sha512, kid: "pinned")
        await collection.add(eddsa: edwards, kid: "e")
        await collection.add(
            hmac: HMACKey(from: "secret-secret-secret-secret-secret"), digestAlgorithm: .sha256, kid: "r")
        let primitives = try made.publicKey.getKeyPrimitives()
        let (n, e) = (
            FakeAuth.base64URL(primitives.modulus.base64EncodedString()),
            FakeAuth.base64URL(primitives.publicExponent.base64EncodedString())
        )
        let x = FakeAuth.base64URL(edwards.publicKey.rawRepresentation.base64EncodedString())
        let documents = [
            // Without `alg`: good for each that was agreed on.
            #"{"kty":"RSA","kid":"r","n":"\#(n)","e":"\#(e)"}"#, #"{"kty":"RSA","kid":"r512","n":"\#(n)","e":"\#(e)"}"#,
            #"{"kty":"RSA","alg":"RS256","kid":"pinned","n":"\#(n)","e":"\#(e)"}"#,
            #"{"kty":"OKP","crv":"Ed25519","kid":"e","x":"\#(x)"}"#,
            #"{"kty":"oct","kid":"o","k":"c2VjcmV0"}"#, #"{"kty":"EC","crv":"secp256k1","alg":"ES256K","kid":"z"}"#,
            #"{"kty":"RSA","kid":"enc","use":"enc","n":"\#(n)","e":"\#(e)"}"#,
        ]
        func refusal(_ token: String, _ algorithms: [String]) async -> LocalRefusal? {
            let issuer = Self.trusted(algorithms: algorithms, types: ["jwt"], keys: documents)
            let sets = await KeySets(FetchKeys.Answer(issuer: FakeAuth.issuer, jwks: FakeAuth().jwks, others: [issuer]))
            do throws(LocalRefusal) {
                _ = try sets.principal(of: SignedToken(token))
                return nil
            } catch {
                return error
            }
        }
        let edwardsToken = try await collection.sign(Self.claims(), kid: "e")
        let rsa512Token = try await collection.sign(Self.claims(), kid: "r512")
        #expect(await refusal(edwardsToken, ["EdDSA"]) == nil)
        #expect(await refusal(rsa512Token, ["RS512", "RS256"]) == nil)
        #expect(await refusal(rsa512Token, ["RS256"]) == .algorithm)
        let pinnedToken = try await collection.sign(Self.claims(), kid: "pinned")
        #expect(await refusal(pinnedToken, ["RS512", "RS256"]) == .algorithm)
        // The last one added under that name is the HMAC.
        let mac = try await collection.sign(Self.claims(), kid: "r")
        for algorithms in [["RS256"], ["RS256", "HS256"], ["HS256", "none"]] {
            #expect([.algorithm, .key].contains(await refusal(mac, algorithms)))
        }
    }

    @Test func `a token of an issuer whose keys auth has not fetched yet is put off`() async throws {
        let auth = FakeAuth()
        var issuer = Self.trusted()
        issuer.jwks = nil
        auth.state.withLockedValue { [issuer] in $0.others = [issuer] }
        let token = try await FakeAuth.sign(Self.claims(), with: Self.key, key: "k1")
        try await withVerifier(auth) { verifier in
            #expect(await accessError { try await verifier.verify(token, remoteAddress: nil) } == .unavailable)
            auth.state.withLockedValue { $0.others = [Self.trusted()] }
            let principal = try await verifier.verify(token, remoteAddress: nil)
            #expect(principal.subject == "corp|42")
        }
    }

    @Test func `an issuer that calls itself by our name is not heard`() async throws {
        var impostor = Self.trusted()
        impostor.issuer = FakeAuth.issuer
        let sets = await KeySets(FetchKeys.Answer(issuer: FakeAuth.issuer, jwks: FakeAuth().jwks, others: [impostor]))
        let claims = Self.claims(["iss": .string(FakeAuth.issuer)])
        let token = try await FakeAuth.sign(claims, with: Self.key, key: "k1")
        #expect(throws: LocalRefusal.key) { _ = try sets.principal(of: SignedToken(token)) }
    }

    @Test func `a member twice, padding or a stray bit makes a token malformed`() async throws {
        let token = try await FakeAuth.sign(Self.claims(), with: Self.key, key: "k1")
        let parts = token.split(separator: ".").map(String.init)
        func encode(_ text: String) -> String { FakeAuth.base64URL(Data(text.utf8).base64EncodedString()) }
        let twice = encode(#"{"alg":"none","alg":"ES256","kid":"k1"}"#)
        let numbered = encode(#"{"alg":"ES256","kid":"k1","typ":1}"#)
        for text in [
            "\(numbered).\(parts[1]).\(parts[2])", "\(twice).\(parts[1]).\(parts[2])",
            "\(parts[0]).\(parts[1]).\(parts[2])=", "\(parts[0]).\(parts[1])",
            "\(parts[0]).\(encode(#"{"iss":"a","iss":"b"}"#)).\(parts[2])", "\(parts[0]).\(encode("[]")).\(parts[2])",
            "\(encode(String(repeating: " ", count: 3000))).\(parts[1]).\(parts[2])",
        ] {
            #expect(throws: LocalRefusal.malformed) { _ = try SignedToken(text) }
        }
        // Two bits of the last character of 64 bytes stand for nothing.
        #expect(Base64URL.decode("QQ".utf8) == [0x41] && Base64URL.decode("QR".utf8) == nil)
        #expect(Base64URL.decode("Q".utf8) == nil && Base64URL.decode("".utf8) == [])
    }
}
