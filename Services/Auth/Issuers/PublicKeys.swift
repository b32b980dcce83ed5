import Downloads
import Events
import Foundation

/// A JWKS document (RFC 7517 §5) as another issuer publishes it, cut down to what we verify with.
enum PublicKeys {
    private static let members: Set = ["kty", "kid", "alg", "use", "key_ops", "crv", "x", "y", "n", "e"]
    private static let types: Set = ["RSA", "EC", "OKP"]
    private static let keysMax = 100
    /// A modulus of 2048 bits in base 64 (RFC 7518 §3.3).
    private static let modulusMin = 342
    private static let bytesMax = 256 * 1024

    /// Fetches a document, from nowhere else than was asked.
    static func download(from url: URL, within timeout: Duration) async throws -> [UInt8] {
        try await HTTPDownload.document(
            from: url, accept: "application/json, application/jwk-set+json", bytesMax: Self.bytesMax,
            redirects: .onServer, within: timeout
        ).bytes
    }

    /// The document with public members of usable keys only; `nil`: it is none.
    static func document(of bytes: [UInt8]) -> (jwks: String, count: Int)? {
        guard let keys = JSON(parsing: bytes, duplicates: .refused)?["keys"]?.array, keys.count <= Self.keysMax else {
            return nil
        }
        var seen: Set<String> = []
        let usable = keys.compactMap { key -> JSON? in
            guard let members = key.object, let type = key["kty"]?.string, Self.types.contains(type),
                let id = key["kid"]?.string, (1...256).contains(id.utf8.count),
                key["use"].map({ $0 == "sig" }) ?? true, type != "RSA" || Self.isLongEnough(key["n"]?.string),
                // Two keys with one name: whose signature it is would be left to chance.
                seen.insert(id).inserted
            else { return nil }
            return .object(members.filter { Self.members.contains($0.key) })
        }
        let document: JSON = ["keys": .array(usable)]
        return (String(decoding: document.bytes, as: UTF8.self), usable.count)
    }

    private static func isLongEnough(_ modulus: String?) -> Bool { (modulus?.utf8.count ?? 0) >= Self.modulusMin }
}
