import Events
import FoundationEssentials
import ServiceKit
import Testing

@testable import Auth

@Suite struct TrustedIssuerFileTests {
    private static let good: [String: JSON] = [
        "issuer": "https://id.example", "name": "id", "jwks_url": "https://id.example/keys", "audience": "crosspoint",
        "algorithms": ["RS256", "ES256"], "tenants": ["default"],
        "rules": [["claim": "groups", "value": "crew", "scope": "radio:*"]],
    ]

    private static func read(_ entries: [[String: JSON]]) throws -> [TrustedIssuerEntry] {
        try TrustedIssuerFile.read(JSON.array(entries.map(JSON.object)).bytes, own: "https://auth.example")
    }

    @Test func `an entry says all of an issuer`() throws {
        let entries = try Self.read([Self.good])
        #expect(entries.map(\.keysURL.absoluteString) == ["https://id.example/keys"])
        #expect(
            entries.map(\.issuer) == [
                TrustedIssuer(
                    issuer: "https://id.example", name: "id", audience: "crosspoint", algorithms: ["RS256", "ES256"],
                    tenantClaim: nil, tenants: ["default"],
                    rules: [TrustedIssuer.Rule(claim: "groups", value: "crew", scope: "radio:*")])
            ])
        let more = Self.good.merging(["tenant_claim": "org", "tenants": ["a", "b"]]) { $1 }
        #expect(try Self.read([more]).first?.issuer.tenantClaim == "org")
        let local = Self.good.merging(["jwks_url": "http://127.0.0.1:8000/keys", "issuer": "http://localhost:8000"]) {
            $1
        }
        #expect(try Self.read([local]).count == 1)
        let types = Self.good.merging(["types": ["application/AT+JWT", "JWT", ""]]) { $1 }
        #expect(try Self.read([types]).first?.issuer.types == ["at+jwt", "jwt", ""])
        #expect(try Self.read([]).isEmpty)
    }

    @Test(
        arguments: [
            ("issuer", "http://id.example"), ("issuer", "id.example"), ("issuer", "https://id.example#a"),
            ("issuer", "https://user@id.example"), ("issuer", "https://auth.example"), ("issuer", 1), ("issuer", ""),
            ("name", "a b"), ("name", "a|b"), ("name", ""), ("name", .string(String(repeating: "n", count: 33))),
            ("jwks_url", "http://id.example/keys"), ("jwks_url", "http://127.0.0.1.evil.example/keys"),
            ("jwks_url", "file:///etc/passwd"), ("jwks_url", "keys"), ("audience", ""), ("audience", ["a"]),
            ("algorithms", []), ("algorithms", "RS256"), ("algorithms", ["HS256"]), ("algorithms", ["RS256", "none"]),
            ("algorithms", ["rs256"]), ("algorithms", ["RS256", "RS256"]), ("tenant_claim", ""), ("tenant_claim", nil),
            ("types", []), ("types", "JWT"), ("types", nil), ("types", ["JWT", "JWT"]), ("types", ["a b"]),
            ("tenants", []), ("tenants", ["a", "b"]), ("tenants", ["a b"]), ("rules", []), ("rules", ["radio:read"]),
            ("rules", [["claim": "a", "value": "b"]]),
            ("rules", [["claim": "a", "value": "b", "scope": "radio:read", "more": "c"]]),
            ("rules", [["claim": "a", "value": "b", "scope": "auth:admin"]]),
            ("rules", [["claim": "a", "value": "b", "scope": "radio:read auth:admin"]]),
            ("rules", [["claim": "", "value": "b", "scope": "radio:read"]]), ("secret", "x"),
        ] as [(String, JSON)])
    func `a slip ends the start with the key and the entry`(member: String, value: JSON) {
        let error = #expect(throws: ConfigurationError.self) {
            try Self.read([
                Self.good.merging(["issuer": "https://one.example", "name": "one"]) { $1 },
                Self.good.merging([member: value]) { $1 },
            ])
        }
        #expect(
            error?.key == "auth.issuers.file" && error?.problem.contains("entry 2") == true,
            "\(String(describing: error))")
    }

    @Test(arguments: Self.good.keys.sorted())
    func `nothing may be missing`(member: String) {
        #expect(throws: ConfigurationError.self) { try Self.read([Self.good.filter { $0.key != member }]) }
    }

    @Test(arguments: ["", "{}", "[1]", "null", "[{\"name\":\"a\",\"name\":\"b\"}]", "not JSON"])
    func `the file is a list of objects`(text: String) {
        #expect(throws: ConfigurationError.self) { try TrustedIssuerFile.read(Array(text.utf8), own: "x") }
    }

    @Test func `two entries have neither the same name nor the same issuer`() {
        #expect(throws: ConfigurationError.self) { try Self.read([Self.good, Self.good]) }
        for same in ["issuer", "name"] {
            let other = Self.good.merging(["issuer": "https://x.example", "name": "x"]) { $1 }
            let second = other.merging([same: Self.good[same] ?? .null]) { $1 }
            #expect(throws: ConfigurationError.self) { try Self.read([Self.good, second]) }
        }
    }

    // MARK: keys

    @Test func `of a key set only public members of usable keys are kept`() throws {
        let long = String(repeating: "A", count: 342)
        let keys: JSON = [
            "keys": [
                [
                    "kty": "EC", "kid": "a", "crv": "P-256", "x": "x", "y": "y", "d": "private",
                    "x5u": "http://evil.example",
                ],
                ["kty": "RSA", "kid": "b", "n": .string(long), "e": "AQAB", "p": "private", "use": "sig"],
                ["kty": "RSA", "kid": "short", "n": "AAAA", "e": "AQAB"], ["kty": "oct", "kid": "c", "k": "secret"],
                ["kty": "EC", "crv": "P-256", "x": "x", "y": "y"], ["kty": "EC", "kid": "", "crv": "P-256"],
                ["kty": "EC", "kid": "enc", "use": "enc"], ["kty": "EC", "kid": "a", "crv": "P-384"], "text", 1,
            ], "more": "rubbish",
        ]
        let document = try #require(PublicKeys.document(of: keys.bytes))
        #expect(document.count == 2)
        #expect(
            JSON(parsing: Array(document.jwks.utf8)) == [
                "keys": [
                    ["kty": "EC", "kid": "a", "crv": "P-256", "x": "x", "y": "y"],
                    ["kty": "RSA", "kid": "b", "n": .string(long), "e": "AQAB", "use": "sig"],
                ]
            ])
    }

    @Test func `what is no key set is none, and an empty one is one`() {
        for text in ["", "[]", "{}", "{\"keys\":1}", "<html>", "{\"keys\":[],\"keys\":[]}"] {
            #expect(PublicKeys.document(of: Array(text.utf8)) == nil, "\(text)")
        }
        #expect(PublicKeys.document(of: Array("{\"keys\":[]}".utf8))?.count == 0)
        let many = JSON.object(["keys": .array(Array(repeating: ["kty": "EC"], count: 101))])
        #expect(PublicKeys.document(of: many.bytes) == nil)
    }
}
