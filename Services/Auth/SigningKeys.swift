import Access
import Crypto
import Database
import Events
import FoundationEssentials
import JWTKit
import Logging
import ServiceKit

/// The ES256 keys that access tokens are signed with: kept in Postgres, sealed with a key of the configuration.
actor SigningKeys {
    private struct Loaded {
        let newest: String
        let collection: JWTKeyCollection
        let jwks: String
    }

    let issuer: String
    private let secrets: SymmetricKey
    private let logger: Logger
    private var loaded: Loaded?

    init(issuer: String, secrets: SymmetricKey, logger: Logger) {
        self.issuer = issuer
        self.secrets = secrets
        self.logger = logger
    }

    /// Reads the keys; makes the first one. Throws `DatabaseError`, and `ConfigurationError` when a key does not open: then nothing
    /// is changed, since whoever gets another key by mistake must not lose the old ones.
    func load(_ writer: EventWriter) async throws {
        let kid = ULID().text
        let sealed = try self.seal(ES256PrivateKey().pemRepresentation)
        // One transaction: two processes never make a first key each.
        let rows = try await writer.write { mutation in
            let known = try await mutation.query(
                "SELECT kid, sealed_private_key FROM signing_keys ORDER BY created_at DESC")
            if !known.isEmpty { return known }
            return try await mutation.query(
                """
                INSERT INTO signing_keys (kid, sealed_private_key) VALUES (\(kid), \(sealed)) RETURNING kid, sealed_private_key
                """)
        }
        try await self.adopt(rows)
        if self.loaded?.newest == kid {
            self.logger.notice("Made the first signing key", metadata: ["key.id": "\(kid)"])
        }
    }

    private func adopt(_ rows: [Row]) async throws {
        let collection = JWTKeyCollection()
        var documents: [PublicKeyDocument] = []
        var newest: String?
        for row in rows {
            let kid = try row.decode("kid", as: String.self)
            let key = try ES256PrivateKey(pem: self.open(try row.decode("sealed_private_key", as: String.self)))
            await collection.add(ecdsa: key, kid: JWKIdentifier(string: kid))
            guard let parameters = key.publicKey.parameters else { continue }
            documents.append(PublicKeyDocument(kid: kid, x: parameters.x.base64URL, y: parameters.y.base64URL))
            newest = newest ?? kid
        }
        guard let newest else { return }
        // Without this jwt-kit takes the first key for a token that names another one, or none.
        await collection.clearDefault()
        let jwks = String(decoding: JSON.encode(["keys": documents]), as: UTF8.self)
        self.loaded = Loaded(newest: newest, collection: collection, jwks: jwks)
    }

    /// The public keys (RFC 7517 §5). Throws `CommandFailure.unavailable` until the keys are loaded.
    func jwks() throws -> String { try self.current().jwks }

    /// Signs an access token for the principal; its `credentialID` becomes the `jti`.
    func sign(_ principal: Principal, issued: Timestamp, expires: Timestamp) async throws -> String {
        let current = try self.current()
        let claims = AccessTokenClaims(
            principal: principal, issuer: self.issuer, id: principal.credentialID, issued: issued.date,
            expires: expires.date)
        return try await current.collection.sign(
            claims, kid: JWKIdentifier(string: current.newest), header: ["typ": "at+jwt"])
    }

    /// Throws `AccessError`.
    func verify(_ token: String) async throws(AccessError) -> Principal {
        guard let loaded = self.loaded else { throw .unavailable }
        do {
            let claims = try await loaded.collection.verify(token, as: AccessTokenClaims.self)
            guard claims.iss.value == self.issuer else { throw AccessError.invalid("another issuer") }
            return claims.principal(signingKey: nil)
        } catch {
            throw .invalid("not valid")
        }
    }

    private func current() throws -> Loaded {
        guard let loaded = self.loaded else { throw CommandFailure(.unavailable, "The signing keys are not loaded") }
        return loaded
    }

    private func seal(_ text: String) throws -> String {
        guard let combined = try AES.GCM.seal(Array(text.utf8), using: self.secrets).combined else {
            preconditionFailure("a standard nonce always combines")
        }
        return combined.base64EncodedString()
    }

    private func open(_ sealed: String) throws -> String {
        do {
            let box = try AES.GCM.SealedBox(combined: Data(base64Encoded: sealed) ?? Data())
            return String(decoding: try AES.GCM.open(box, using: self.secrets), as: UTF8.self)
        } catch {
            throw ConfigurationError(
                key: "auth.secrets.key.file",
                problem: "holds another key than the one that the signing keys are sealed with")
        }
    }
}

/// One public key as a JWK (RFC 7518 §6.2).
private struct PublicKeyDocument: Encodable {
    var kty = "EC"
    var crv = "P-256"
    var alg = "ES256"
    var use = "sig"
    let kid: String
    let x: String
    let y: String
}

extension String {
    /// Base 64 turned into its URL form without padding (RFC 7515 §2).
    fileprivate var base64URL: String {
        self.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
