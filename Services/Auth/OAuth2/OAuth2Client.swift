import Database
import Events
import HTTPTypes
import ServiceKit

/// Somebody's program that gets tokens: in its own name, or in that of users who agreed to it.
struct OAuth2Client: Sendable {
    enum Kind: String, Sendable, CaseIterable, Codable {
        /// Can keep a secret.
        case confidential
        /// A program on other people's devices.
        case `public`
    }

    let id: String
    let name: String
    let tenant: String
    let scopes: Scopes
    /// The stations that it may see; `nil`: all.
    let stations: Set<String>?
    let grants: Set<GrantType>
    let redirectURIs: [String]
    let format: AccessTokens.Format
    let secretHash: String?
    /// After this it is unknown; `nil`: it has no end.
    let expires: Timestamp?

    var kind: Kind { self.secretHash == nil ? .public : .confidential }

    static let columns: Query =
        """
        id, name, tenant, scope, stations, grants, redirect_uris, token_format, secret_hash, expires_at, created_by, created_at,
        revoked_at
        """

    /// A condition on `oauth_clients`: it gets tokens by the word of its maker alone. Those of the others are their users' to give.
    static let actsForItself: Query = "'client_credentials' = ANY (grants)"

    /// Reads a row with these columns.
    init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("id")
        self.name = try row.decode("name")
        self.tenant = try row.decode("tenant")
        self.scopes = Scopes(claim: try row.decode("scope"))
        self.stations = try row.decode("stations", as: [String]?.self).map(Set.init)
        self.grants = Set(try row.decode("grants", as: [String].self).compactMap(GrantType.init(rawValue:)))
        self.redirectURIs = try row.decode("redirect_uris")
        self.format = AccessTokens.Format(rawValue: try row.decode("token_format")) ?? .opaque
        self.secretHash = try row.decode("secret_hash")
        self.expires = try row.decode("expires_at")
    }

    init(
        id: String, name: String, tenant: String, scopes: Scopes, stations: Set<String>? = nil, grants: Set<GrantType>,
        redirectURIs: [String], format: AccessTokens.Format = .opaque, secretHash: String? = nil,
        expires: Timestamp? = nil
    ) {
        self.id = id
        self.name = name
        self.tenant = tenant
        self.scopes = scopes
        self.stations = stations
        self.grants = grants
        self.redirectURIs = redirectURIs
        self.format = format
        self.secretHash = secretHash
        self.expires = expires
    }

    /// The client as a holder of credentials, with all that it was made with.
    var principal: Principal {
        Principal(
            subject: self.id, name: self.name, tenant: self.tenant, scopes: self.scopes, stations: self.stations,
            credential: .oauth2, credentialID: self.id, issued: .now, client: self.id)
    }
}

/// The clients that are neither revoked nor over.
struct OAuth2Clients: Sendable {
    let database: Database
    let trail: AuditTrail
    let limits: AttemptLimits
    let usage: KeyUsage

    func client(_ id: String) async throws -> OAuth2Client? {
        guard Grant.isName(id) else { return nil }
        let rows = try await self.database.query(
            """
            SELECT \(OAuth2Client.columns) FROM oauth_clients
            WHERE id = \(id) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
            """)
        return try rows.first.map { row throws(DatabaseError) in try OAuth2Client(row) }
    }

    /// The client that the proof is of. Throws 401 (`invalid_client`), and 429 with `Retry-After` for an address that was wrong too
    /// often, unless the proof was good before. It is the address that waits: a client could be locked out by whoever guesses at it.
    func authenticate(_ proof: ClientProof, address: String) async throws -> OAuth2Client {
        let hash = Secret.hash("\(proof.id) \(proof.secret ?? "")")
        if !self.usage.isFamiliar(hash), let seconds = self.limits.retryAfter(address) {
            // Without the id, which is not looked at: it would be another entry each time.
            self.refuse(nil, address, "throttled")
            throw APIFailure(
                .tooManyRequests, "Too many failed attempts", headers: [.retryAfter: "\(seconds)"])
        }
        guard let client = try await self.client(proof.id), Self.isProven(client, proof) else {
            self.limits.badCredential(from: address)
            self.refuse(Grant.isName(proof.id) ? proof.id : nil, address, "invalid_client")
            throw ClientProof.invalidClient
        }
        self.usage.greet(hash)
        return client
    }

    private func refuse(_ id: String?, _ address: String, _ reason: String) {
        self.trail.note(AuditEntry("token.issue", .refused, address: address, target: id, reason: reason))
    }

    /// Both are hashes of 256-bit secrets; the comparison still takes the same time wherever they differ.
    private static func isProven(_ client: OAuth2Client, _ proof: ClientProof) -> Bool {
        switch (client.secretHash, proof.secret) {
        case (let stored?, let secret?): Secret.hash(secret).isSame(inConstantTimeAs: stored)
        case (nil, nil): true
        default: false
        }
    }
}
