import Events
import JWTKit

/// One issuer's public keys, for the algorithms that are accepted from it.
struct KeySet: Sendable {
    /// By id, then by algorithm. The algorithm is pinned here, never by what a token says (RFC 8725 §3.1).
    private var keys: [String: [String: any JWTAlgorithm]] = [:]

    /// Neither `none` nor an HMAC is among them, whatever a configuration says.
    private static let known: Set = [
        "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA",
    ]
    private static let keysMax = 100
    private static let publicMembers: Set = ["kty", "crv", "x", "y", "n", "e"]

    /// Reads a JWKS document (RFC 7517 §5); what it holds besides usable keys is passed over.
    init(jwks: String, algorithms: Set<String>) async {
        let documents = JSON(parsing: Array(jwks.utf8))?["keys"]?.array ?? []
        for document in documents.prefix(Self.keysMax) {
            guard let id = document["kid"]?.string, !id.isEmpty, Self.isForSignatures(document) else { continue }
            let own = document["alg"]?.string
            for algorithm in algorithms.intersection(Self.known) where own == nil || own == algorithm {
                self.keys[id, default: [:]][algorithm] = await Self.key(document, algorithm)
            }
        }
    }

    var isEmpty: Bool { self.keys.isEmpty }

    func has(_ id: String) -> Bool { self.keys[id] != nil }

    func key(_ id: String, _ algorithm: String) throws(LocalRefusal) -> any JWTAlgorithm {
        guard let keys = self.keys[id] else { throw .key }
        guard let key = keys[algorithm] else { throw .algorithm }
        return key
    }

    private static func isForSignatures(_ document: JSON) -> Bool {
        if let use = document["use"], use.string != "sig" { return false }
        if let operations = document["key_ops"]?.strings, !operations.contains("verify") { return false }
        return true
    }

    /// `nil`: not a key of that algorithm.
    private static func key(_ document: JSON, _ algorithm: String) async -> (any JWTAlgorithm)? {
        guard let id = document["kid"]?.string else { return nil }
        var members = (document.object ?? [:]).filter { Self.publicMembers.contains($0.key) }
        members["kid"] = .string(id)
        members["alg"] = .string(algorithm)
        // `try?`: a key that jwt-kit cannot read, or that is of another kind, is none.
        guard let jwk = try? JWK(json: String(decoding: JSON.object(members).bytes, as: UTF8.self)) else { return nil }
        let collection = JWTKeyCollection()
        guard (try? await collection.add(jwk: jwk)) != nil,
            let key = try? await collection.getKey(for: JWKIdentifier(string: id), alg: algorithm),
            key.name == algorithm
        else { return nil }
        return key
    }
}
