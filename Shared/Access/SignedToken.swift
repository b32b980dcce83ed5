import Crypto
import Events

/// A JSON Web Token taken apart (RFC 7515 §7.1), nothing of it verified.
public struct SignedToken: Sendable {
    let algorithm: String
    let keyID: String
    /// In lower case, without `application/`; `nil`: the token does not say.
    let type: String?
    public let issuer: String
    let claims: JSON
    let payload: [UInt8]
    let signature: [UInt8]
    /// What the signature is over.
    let signed: [UInt8]

    private static let headerBytesMax = 2048
    private static let keyIDBytesMax = 256

    /// Whether a credential has the form of one: three parts with dots between them.
    static func isLike(_ text: String) -> Bool { text.utf8.count { $0 == UInt8(ascii: ".") } == 2 }

    public init(_ text: String) throws(LocalRefusal) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count <= Self.headerBytesMax, let header = Base64URL.decode(parts[0]),
            let payload = Base64URL.decode(parts[1]), let signature = Base64URL.decode(parts[2]),
            let fields = JSON(parsing: header, duplicates: .refused)?.object,
            let claims = JSON(parsing: payload, duplicates: .refused), claims.object != nil,
            let algorithm = fields["alg"]?.string
        else { throw .malformed }
        // We understand no extension (RFC 7515 §4.1.11).
        guard fields["crit"] == nil else { throw .type }
        switch fields["typ"] {
        case nil: self.type = nil
        case .string(let type)?:
            let type = type.lowercased()
            self.type = type.hasPrefix("application/") ? String(type.dropFirst(12)) : type
        default: throw .malformed
        }
        guard let issuer = claims["iss"]?.string else { throw .claims }
        guard let keyID = fields["kid"]?.string, !keyID.isEmpty, keyID.utf8.count <= Self.keyIDBytesMax else {
            throw .key
        }
        self.algorithm = algorithm
        self.keyID = keyID
        self.issuer = issuer
        self.claims = claims
        self.payload = payload
        self.signature = signature
        self.signed = Array(text.utf8.dropLast(parts[2].count + 1))
    }

    /// A name for a token without one. The signature is left out of it: the same token may have several that are valid.
    var fingerprint: String {
        SHA256.hash(data: self.signed).prefix(16).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}

/// What a credential is remembered by: not the credential itself.
struct CredentialDigest: Hashable {
    private let bytes: [UInt8]

    init(_ credential: String, address: String = "") {
        self.bytes = Array(SHA256.hash(data: Array("\(address)\n\(credential)".utf8)))
    }
}
