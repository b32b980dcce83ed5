import Access
import Crypto
import Database
import Events
import FoundationEssentials
import JWTKit
import Logging
import ServiceKit

/// The ES256 keys that access tokens are signed with: kept in Postgres, sealed with a key of the configuration.
///
/// A new key is among the public ones for `lead` before it signs, so that verifiers know it. An old one stays among them until the
/// last token that it signed has ended.
actor SigningKeys {
    private struct Key {
        let id: String
        let document: PublicKeyDocument
        let createdAt: Timestamp
        let activeFrom: Timestamp
        /// No token that it signed is valid longer.
        var tokensUntil: Timestamp
    }

    let issuer: String
    private let secrets: SymmetricKey
    private let logger: Logger
    /// In order of age, the newest first.
    private var keys: [Key] = []
    private var collection = JWTKeyCollection()

    /// From the publication of a key to its first signature; verifiers ask for the keys more often.
    static let lead = Duration.seconds(10)
    /// How long after its last token's end a key is still published: verifiers allow for clocks that differ.
    private static let grace = Duration.milliseconds(Int64(AccessTokenClaims.leeway * 1000))
    /// `tokens_until` is written ahead in such steps, not for every token.
    private static let step: Int64 = 3_600_000

    init(issuer: String, secrets: SymmetricKey, logger: Logger) {
        self.issuer = issuer
        self.secrets = secrets
        self.logger = logger
    }

    var isLoaded: Bool { !self.keys.isEmpty }

    /// Reads the keys; makes the first one. Throws `DatabaseError`, and `ConfigurationError` when a key does not open: then nothing
    /// is changed, since whoever gets another key by mistake must not lose the old ones.
    func load(_ writer: EventWriter) async throws {
        let first = try self.draft(from: .now)
        // One transaction: two processes never make a first key each.
        let rows = try await writer.write { mutation in
            let known = try await mutation.query(Self.all)
            if !known.isEmpty { return known }
            try await first.insert(mutation)
            try await mutation.audit(AuditEntry("signing_key.rotate", target: first.id, reason: "the first"))
            return try await mutation.query(Self.all)
        }
        try await self.adopt(rows)
        if self.keys.first?.id == first.id {
            self.logger.notice("Made the first signing key", metadata: ["key.id": "\(first.id)"])
        }
    }

    /// Reads the keys again: another process may have been the writer since, or the end of a change not have been heard. One that
    /// stands by has none, since it can neither sign nor say what the writer does.
    func refresh(_ database: Database, _ writer: EventWriter) async throws {
        if writer.isStandby { return self.keys = [] }
        guard writer.isActive else { return }
        let rows = try await database.query(Self.all)
        guard !rows.isEmpty, try rows.map({ try $0.decode("kid", as: String.self) }) != self.keys.map(\.id) else {
            return
        }
        try await self.adopt(rows)
    }

    /// Makes a new key, which signs after `lead`. Returns its id.
    /// - Parameter asker: on whose word; `nil`: the clock's.
    func rotate(_ writer: EventWriter, for asker: Principal?, audit entry: AuditEntry) async throws -> String {
        let draft = try self.draft(from: .now + Self.lead)
        let rows = try await writer.write(for: asker) { mutation in
            try await draft.insert(mutation)
            var entry = entry
            entry.target = draft.id
            try await mutation.audit(entry)
            return try await mutation.query(Self.all)
        }
        try await self.adopt(rows)
        self.logger.notice("Made a signing key", metadata: ["key.id": "\(draft.id)"])
        return draft.id
    }

    /// Makes a new key if the newest is older than that.
    func rotate(olderThan age: Duration, _ writer: EventWriter) async throws {
        guard let newest = self.keys.first, Timestamp.now - newest.createdAt > age else { return }
        _ = try await self.rotate(writer, for: nil, audit: AuditEntry("signing_key.rotate", reason: "schedule"))
    }

    /// Takes a key away at once, as when it was stolen: every token that it signed is void. A new one signs from now on if no other
    /// can. `false`: there is none with that id.
    func revoke(
        _ id: String, _ writer: EventWriter, for asker: Principal, audit entry: AuditEntry
    ) async throws -> Bool {
        guard let key = self.keys.first(where: { $0.id == id }) else { return false }
        let isLast = !self.keys.contains { $0.id != id && $0.activeFrom <= .now }
        let draft = isLast ? try self.draft(from: .now) : nil
        let rows = try await writer.write(for: asker) { mutation in
            _ = try await mutation.query("DELETE FROM signing_keys WHERE kid = \(id)")
            try await draft?.insert(mutation)
            try await mutation.revoke(
                CredentialRevoked(kind: .signingKey, id: id, until: key.tokensUntil), tenant: Principal.defaultTenant)
            try await mutation.audit(entry)
            return try await mutation.query(Self.all)
        }
        try await self.adopt(rows)
        self.logger.notice("Revoked a signing key", metadata: ["key.id": "\(id)"])
        return true
    }

    /// Removes keys whose last token has ended.
    func forget(_ writer: EventWriter) async throws {
        let retired = self.keys.filter { $0.id != self.signing?.id && $0.activeFrom <= .now && !Self.isPublic($0) }
        guard !retired.isEmpty else { return }
        let rows = try await writer.write { mutation in
            // The table knows what was signed last; what we remember may be of before.
            _ = try await mutation.query(
                """
                DELETE FROM signing_keys WHERE kid = ANY (\(retired.map(\.id)))
                    AND tokens_until < now() - \(Self.grace.milliseconds) * interval '1 millisecond'
                """)
            return try await mutation.query(Self.all)
        }
        try await self.adopt(rows)
    }

    struct Listed: Encodable {
        let kid: String
        let created_at: String
        let signs_from: String
        let tokens_until: String
        let is_signing: Bool
    }

    func list() -> [Listed] {
        self.keys.map { key in
            Listed(
                kid: key.id, created_at: key.createdAt.iso8601, signs_from: key.activeFrom.iso8601,
                tokens_until: key.tokensUntil.iso8601, is_signing: key.id == self.signing?.id)
        }
    }

    /// The public keys (RFC 7517 §5). Throws `CommandFailure.unavailable` until the keys are loaded.
    func jwks() throws -> String {
        try self.requireLoaded()
        let signing = self.signing?.id
        let published = self.keys.filter { $0.id == signing || $0.activeFrom > .now || Self.isPublic($0) }
        return String(decoding: JSON.encode(["keys": published.map(\.document)]), as: UTF8.self)
    }

    /// Signs an access token for the principal, in the transaction that makes it known; its `credentialID` becomes the `jti`.
    func sign(_ principal: Principal, issued: Timestamp, expires: Timestamp, _ mutation: Mutation) async throws
        -> String
    {
        try self.requireLoaded()
        guard let key = self.signing else { throw CommandFailure(.unavailable, "No signing key is active") }
        let until = Timestamp(milliseconds: (expires.milliseconds / Self.step + 1) * Self.step)
        let rows = try await mutation.query("SELECT tokens_until FROM signing_keys WHERE kid = \(key.id)")
        guard let known = try rows.first?.decode("tokens_until", as: Timestamp.self) else {
            // Another process revoked it while it was the writer; `refresh` will tell.
            throw CommandFailure(.unavailable, "The signing key is not there any longer")
        }
        if known < expires {
            _ = try await mutation.query("UPDATE signing_keys SET tokens_until = \(until) WHERE kid = \(key.id)")
        }
        // Should the transaction fail, the key is only kept a little longer than it need be.
        if let index = self.keys.firstIndex(where: { $0.id == key.id }) {
            self.keys[index].tokensUntil = max(until, self.keys[index].tokensUntil)
        }
        let claims = AccessTokenClaims(
            principal: principal, issuer: self.issuer, id: principal.credentialID, issued: issued.date,
            expires: expires.date)
        return try await self.collection.sign(claims, kid: JWKIdentifier(string: key.id), header: ["typ": "at+jwt"])
    }

    /// The newest that may sign; should none be active yet, the oldest.
    private var signing: Key? { self.keys.first { $0.activeFrom <= .now } ?? self.keys.last }

    private static func isPublic(_ key: Key) -> Bool { key.tokensUntil + Self.grace > .now }

    private func requireLoaded() throws {
        guard self.isLoaded else { throw CommandFailure(.unavailable, "The signing keys are not loaded") }
    }

    // MARK: storage

    private static let all: Query =
        "SELECT kid, sealed_private_key, created_at, active_from, tokens_until FROM signing_keys ORDER BY created_at DESC, kid DESC"

    private struct Draft: Sendable {
        let id = ULID().text
        let sealed: String
        let activeFrom: Timestamp

        func insert(_ mutation: Mutation) async throws {
            _ = try await mutation.query(
                """
                INSERT INTO signing_keys (kid, sealed_private_key, active_from, tokens_until)
                VALUES (\(self.id), \(self.sealed), \(self.activeFrom), \(self.activeFrom))
                """)
        }
    }

    private func draft(from moment: Timestamp) throws -> Draft {
        Draft(sealed: try self.seal(ES256PrivateKey().pemRepresentation), activeFrom: moment)
    }

    private func adopt(_ rows: [Row]) async throws {
        let collection = JWTKeyCollection()
        var keys: [Key] = []
        for row in rows {
            let kid = try row.decode("kid", as: String.self)
            let key = try ES256PrivateKey(pem: self.open(try row.decode("sealed_private_key", as: String.self)))
            await collection.add(ecdsa: key, kid: JWKIdentifier(string: kid))
            guard let parameters = key.publicKey.parameters else { continue }
            keys.append(
                Key(
                    id: kid,
                    document: PublicKeyDocument(kid: kid, x: parameters.x.base64URL, y: parameters.y.base64URL),
                    createdAt: try row.decode("created_at"), activeFrom: try row.decode("active_from"),
                    tokensUntil: try row.decode("tokens_until")))
        }
        // Without this jwt-kit takes the first key for a token that names another one, or none.
        await collection.clearDefault()
        // Tokens may have been signed since the rows were read.
        for known in self.keys {
            guard let index = keys.firstIndex(where: { $0.id == known.id }) else { continue }
            keys[index].tokensUntil = max(keys[index].tokensUntil, known.tokensUntil)
        }
        (self.keys, self.collection) = (keys, collection)
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
