import Events
import Foundation
import JWTKit
import Testing

@testable import Access

/// What one of our own tokens must say, though nobody but auth can sign one.
@Suite struct OwnTokenTests {
    private struct Claims: JWTPayload {
        var members: JSON
        init(_ members: JSON) { self.members = members }
        init(from decoder: any Decoder) throws { self.members = try JSON(from: decoder) }
        func encode(to encoder: any Encoder) throws { try self.members.encode(to: encoder) }
        func verify(using algorithm: some JWTAlgorithm) throws {}
    }

    private static func principal(_ changes: [String: JSON?] = [:]) async throws -> Principal {
        let now = Int64(Date().timeIntervalSince1970)
        var members: [String: JSON] = [
            "iss": .string(FakeAuth.issuer), "sub": "u1", "aud": ["crosspoint"], "exp": .integer(now + 300),
            "iat": .integer(now), "jti": "01KAJ0000000000000000000ZZ", "scope": "radio:read keys:write",
            "tenant": "studio",
        ]
        for (name, value) in changes { members[name] = value }
        let key = ES256PrivateKey()
        let jwks = #"{"keys":[\#(FakeAuth.document("k1", key))]}"#
        let sets = await KeySets(FetchKeys.Answer(issuer: FakeAuth.issuer, jwks: jwks))
        let token = try await FakeAuth.sign(
            Claims(.object(members)), with: key, key: "k1", header: ["typ": "at+jwt"])
        return try sets.principal(of: SignedToken(token))
    }

    @Test func `a token says whose it is, and what it comes from`() async throws {
        let plain = try await Self.principal()
        #expect(plain.subject == "u1" && plain.name == "u1" && plain.tenant == "studio" && plain.tier == .free)
        #expect(plain.scopes == [.radioRead, "keys:write"] && plain.stations == nil && plain.signingKey == "k1")
        #expect(plain.issued == ULID(text: plain.credentialID)?.time)
        let full = try await Self.principal([
            "name": "Ada", "stations": ["a", "b"], "tier": "pro", "client_id": "client_1", "sid": "s1", "roles": ["dj"],
            "aud": "crosspoint", "jti": "no-ulid",
        ])
        #expect(full.name == "Ada" && full.stations == ["a", "b"] && full.tier == .pro && full.client == "client_1")
        #expect(full.session == "s1" && full.roles == ["dj"] && full.issued != nil)
        #expect(try await Self.principal(["station_id": "a"]).stations == ["a"])
        // None at all is not all.
        #expect(try await Self.principal(["stations": []]).stations == [])
        #expect(
            try await Self.principal(["streams": ["s"], "cameras": [], "obs_connections": ["studio"]]).limits
                == RoomLimits(streams: ["s"], cameras: [], obsConnections: ["studio"]))
        #expect(try await Self.principal([:]).limits == nil)
    }

    @Test(
        arguments: [
            (nil, nil), (RoomLimits(stations: ["b", "a"]), ["a", "b"]), (RoomLimits(stations: []), []),
            (RoomLimits(streams: ["s"]), []), (RoomLimits(cameras: []), []), (RoomLimits(obsConnections: ["o"]), []),
        ] as [(RoomLimits?, [String]?)])
    func `a token that is limited to any rooms lists its stations`(limits: RoomLimits?, stations: [String]?) {
        let principal = Principal(
            subject: "s", name: "n", tenant: "t", scopes: [.all], limits: limits, credential: .jwt, credentialID: "1")
        let claims = AccessTokenClaims(
            principal: principal, issuer: FakeAuth.issuer, id: "1", issued: Date(), expires: Date())
        #expect(claims.stations == stations && claims.streams == limits?.streams?.sorted())
    }

    @Test(
        arguments: [
            (["sub": .some(nil)], LocalRefusal.claims), (["sub": 1], .claims), (["jti": .some(nil)], .claims),
            (["scope": .some(nil)], .claims), (["scope": ["radio:read"]], .claims), (["tenant": .some(nil)], .claims),
            (["tenant": true], .claims), (["iat": .some(nil)], .claims), (["iat": "0"], .claims),
            (["exp": .some(nil)], .claims),
            (["exp": "9999999999"], .claims), (["exp": 1e300], .claims), (["stations": "a"], .claims),
            (["streams": "a"], .claims), (["cameras": [1]], .claims), (["obs_connections": 1], .claims),
            (["stations": [1]], .claims), (["station_id": 1], .claims), (["name": []], .claims), (["sid": 1], .claims),
            (["client_id": 1], .claims), (["roles": "dj"], .claims), (["tier": 1], .claims), (["nbf": "0"], .claims),
            (["aud": .some(nil)], .audience), (["aud": "other"], .audience), (["aud": []], .audience),
            (["exp": 1], .expired),
            (["nbf": 99_999_999_999], .notYetValid), (["iat": 99_999_999_999], .notYetValid),
        ] as [([String: JSON?], LocalRefusal)])
    func `what auth does not sign is refused`(changes: [String: JSON?], reason: LocalRefusal) async {
        await #expect(throws: reason) { try await Self.principal(changes) }
    }
}
