import Crypto
import Events
import Foundation

/// One row of a table of tokens: how it differs from a good one.
struct HostileToken: Decodable, Sendable {
    let name: String
    /// Members of the header as they are written there; `null` takes one out. Likewise the claims.
    let header: [String: String?]?
    let claims: [String: String?]?
    /// What is written behind the other members.
    let headerMore: String?
    let claimsMore: String?
    /// Instead of all members. `<h>` and `<c>` are the good ones.
    let headerText: String?
    let claimsText: String?
    let signature: Signature?
    /// Instead of the three parts, `<header>`, `<claims>` and `<signature>` being them.
    let token: String?
    /// Whether it is good after all.
    let accepted: Bool?
    /// Where it is shown; everywhere unless given.
    let doors: [String]?
    let why: String?

    enum Signature: String, Decodable, Sendable {
        /// The good one, made for other text.
        case keep
        case none, own, another, p384
        case hmacPEM = "hmac-pem", hmacDER = "hmac-der", hmacJWK = "hmac-jwk", hmacJWKS = "hmac-jwks", hmacRaw =
            "hmac-raw"
        case hmacKid = "hmac-kid", hmacEmpty = "hmac-empty"
        case zeros, zeroR = "zero-r", zeroS = "zero-s", order, der, truncated, longer, flipped, highS = "high-s"
    }
}

/// Makes tokens out of a good one.
struct Forge {
    /// The good one's parts, as text between the dots.
    private let parts: [String]
    private let header: [(String, String)]
    private let claims: [(String, String)]
    /// The public key that the good one is verified with, and its JWKS.
    private let key: P256.Signing.PublicKey
    private let jwks: String
    private let kid: String
    /// Signs what `own` says: the issuer's own if it is ours, otherwise the forger's.
    let own: P256.Signing.PrivateKey
    private let another = P256.Signing.PrivateKey()
    private let p384 = P384.Signing.PrivateKey()

    init(good: String, jwks: String, own: P256.Signing.PrivateKey) throws {
        self.parts = good.split(separator: ".").map(String.init)
        self.header = try Self.members(parts[0])
        self.claims = try Self.members(parts[1])
        let kid = self.header.first { $0.0 == "kid" }.flatMap { JSON(parsing: Array($0.1.utf8))?.string } ?? ""
        self.kid = kid
        self.jwks = jwks
        self.own = own
        let keys = JSON(parsing: Array(jwks.utf8))?["keys"]?.array
        guard let key = keys?.first(where: { $0["kid"]?.string == kid }), let x = key["x"]?.string,
            let y = key["y"]?.string,
            let raw = AuthTests.base64URL(x).flatMap({ x in AuthTests.base64URL(y).map { x + $0 } })
        else { throw Suite.Failure(description: "no key \(kid) in \(jwks)") }
        self.key = try P256.Signing.PublicKey(rawRepresentation: raw)
    }

    private static func members(_ part: String) throws -> [(String, String)] {
        guard let object = AuthTests.base64URL(part).flatMap({ JSON(parsing: Array($0))?.object }) else {
            throw Suite.Failure(description: "not an object: \(part)")
        }
        return object.sorted { $0.key < $1.key }.map { ($0.key, String(decoding: $0.value.bytes, as: UTF8.self)) }
    }

    /// A public key as JWK.
    static func jwk(_ key: P256.Signing.PublicKey, kid: String) -> String {
        let raw = key.rawRepresentation
        return
            #"{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"\#(kid)","x":"\#(raw.prefix(32).base64URL)","y":"\#(raw.suffix(32).base64URL)"}"#
    }

    func make(_ row: HostileToken, _ values: [String: String] = [:]) throws -> String {
        let now = Int(Date.now.timeIntervalSince1970)
        func fill(_ text: String) -> String {
            Placeholders.fill(text, with: values).replacing(/<now([+-]\d+)>/) { "\(now + (Int($0.1) ?? 0))" }
        }
        func part(
            _ members: [(String, String)], _ changes: [String: String?]?, _ more: String?, _ whole: String?,
            _ mark: String
        )
            -> String
        {
            var members = members.filter { member in changes?.keys.contains(member.0) != true }
            members += (changes ?? [:]).sorted { $0.key < $1.key }.compactMap { name, text in text.map { (name, $0) } }
            let inside = members.map { "\"\($0)\":\($1)" }.joined(separator: ",")
            if let whole { return fill(whole.replacing(mark, with: inside)) }
            return fill(
                "{" + ([inside] + (more.map { [$0] } ?? [])).filter { !$0.isEmpty }.joined(separator: ",") + "}")
        }
        let header = Data(part(self.header, row.header, row.headerMore, row.headerText, "<h>").utf8).base64URL
        let claims = Data(part(self.claims, row.claims, row.claimsMore, row.claimsText, "<c>").utf8).base64URL
        let signature = try self.sign("\(header).\(claims)", row.signature ?? .own).base64URL
        guard let token = row.token else { return "\(header).\(claims).\(signature)" }
        let more = [
            "header": header, "claims": claims, "signature": signature, "good": self.parts.joined(separator: "."),
        ]
        return Placeholders.fill(token, with: values.merging(more) { $1 })
    }

    private func sign(_ text: String, _ how: HostileToken.Signature) throws -> Data {
        let bytes = Data(text.utf8)
        let kept = AuthTests.base64URL(self.parts[2]) ?? Data()
        func hmac(_ secret: some DataProtocol) -> Data {
            Data(HMAC<SHA256>.authenticationCode(for: bytes, using: SymmetricKey(data: Data(secret))))
        }
        switch how {
        case .keep: return kept
        case .none: return Data()
        case .own: return try self.own.signature(for: bytes).rawRepresentation
        case .another: return try self.another.signature(for: bytes).rawRepresentation
        case .p384: return try self.p384.signature(for: bytes).rawRepresentation
        case .hmacPEM: return hmac(Data(self.key.pemRepresentation.utf8))
        case .hmacDER: return hmac(self.key.derRepresentation)
        case .hmacRaw: return hmac(self.key.x963Representation)
        case .hmacJWK: return hmac(Data(Self.jwk(self.key, kid: self.kid).utf8))
        case .hmacJWKS: return hmac(Data(self.jwks.utf8))
        case .hmacKid: return hmac(Data(self.kid.utf8))
        case .hmacEmpty: return hmac(Data())
        case .zeros: return Data(count: 64)
        case .zeroR: return Data(count: 32) + kept.suffix(32)
        case .zeroS: return kept.prefix(32) + Data(count: 32)
        case .order: return Data(Self.order + Self.order)
        case .der: return try P256.Signing.ECDSASignature(rawRepresentation: kept).derRepresentation
        case .truncated: return kept.dropLast()
        case .longer: return kept + Data([0])
        case .flipped: return kept.dropLast() + Data([(kept.last ?? 0) ^ 1])
        case .highS: return kept.prefix(32) + Data(Self.difference(Self.order, Array(kept.suffix(32))))
        }
    }

    /// The order of P-256's group.
    private static let order: [UInt8] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xBC, 0xE6, 0xFA, 0xAD,
        0xA7, 0x17,
        0x9E, 0x84, 0xF3, 0xB9, 0xCA, 0xC2, 0xFC, 0x63, 0x25, 0x51,
    ]

    /// `a` - `b`, big-endian.
    private static func difference(_ a: [UInt8], _ b: [UInt8]) -> [UInt8] {
        var (result, borrow) = (a, 0)
        for index in result.indices.reversed() {
            let value = Int(a[index]) - Int(b[index]) - borrow
            borrow = value < 0 ? 1 : 0
            result[index] = UInt8(truncatingIfNeeded: value)
        }
        return result
    }
}

extension Data {
    var base64URL: String {
        self.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
