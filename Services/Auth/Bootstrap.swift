import Database
import Events
import Logging
import NIOConcurrencyHelpers
import ServiceKit
import ServiceLifecycle

/// What auth does once its database is there: loads or makes the signing keys, and makes the local owner's key and user known.
struct Bootstrap: Service {
    let writer: EventWriter
    let keys: SigningKeys
    let ownerKey: OwnerKey?
    let ownerAccount: OwnerAccount?
    let users: Users
    let logger: Logger
    private let done = NIOLockedValueBox(false)

    private static let retry = Duration.milliseconds(200)

    init(
        writer: EventWriter, keys: SigningKeys, ownerKey: OwnerKey?, ownerAccount: OwnerAccount?, users: Users,
        logger: Logger
    ) {
        self.writer = writer
        self.keys = keys
        self.ownerKey = ownerKey
        self.ownerAccount = ownerAccount
        self.users = users
        self.logger = logger
    }

    /// Whether the keys are loaded and the owner is known.
    var isDone: Bool { self.done.withLockedValue { $0 } }

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await self.keys.load(self.writer)
                    try await self.registerOwner()
                    try await self.ownerAccount?.register(self.users, self.logger)
                    self.done.withLockedValue { $0 = true }
                    break
                } catch let error as DatabaseError where Self.mayPass(error) {
                    // `try?`: the sleep fails only when it is cancelled, and then the loop ends.
                    try? await Task.sleep(for: Self.retry)
                }
            }
        }
        // A part that returns would end the process.
        try? await gracefulShutdown()
    }

    private static func mayPass(_ error: DatabaseError) -> Bool {
        switch error {
        case .unavailable, .outcomeUnknown, .notActiveWriter: true
        default: false
        }
    }

    private enum Registration { case known, revoked, foreign }

    /// The file's key becomes the owner's, and the one before it is revoked. One that was revoked stays so: only another key in the
    /// file makes an owner again.
    private func registerOwner() async throws {
        guard let ownerKey = self.ownerKey else { return }
        let registration = try await self.writer.write { mutation in try await Self.register(ownerKey, mutation) }
        switch registration {
        case .known: self.logger.info("The owner's key is known")
        case .revoked: self.logger.warning("The owner's key was revoked: auth.owner.key.file must hold another one")
        case .foreign:
            throw ConfigurationError(
                key: "auth.owner.key.file", problem: "holds a key that was made for something else")
        }
    }

    private static func register(_ key: OwnerKey, _ mutation: Mutation) async throws -> Registration {
        let (hash, scope) = (key.hash, Scopes([.all, .authAdmin]).claim)
        let made = try await mutation.query(
            """
            INSERT INTO api_keys (id, hash, prefix, name, tenant, subject, scope, tier)
            VALUES (\("owner_\(hash.prefix(16))"), \(hash), \(key.shownPrefix), 'owner', \(Principal.defaultTenant),
                    'owner', \(scope), \(Tier.enterprise.rawValue))
            ON CONFLICT DO NOTHING RETURNING id
            """)
        for row in made {
            try await mutation.audit(
                AuditEntry(
                    "key.create", tenant: Principal.defaultTenant, actor: "owner", target: try row.decode("id"),
                    reason: "auth.owner.key.file"))
        }
        let rows = try await mutation.query("SELECT id, revoked_at FROM api_keys WHERE hash = \(hash)")
        guard let row = rows.first, try row.decode("id", as: String.self).hasPrefix("owner") else { return .foreign }
        let replaced = try await mutation.query(
            """
            UPDATE api_keys SET revoked_at = now() WHERE starts_with(id, 'owner') AND hash <> \(hash) AND revoked_at IS NULL
            RETURNING id
            """)
        for row in replaced {
            let id = try row.decode("id", as: String.self)
            let until = Timestamp.now + .seconds(AccessTokens.lifetimeMax)
            try await mutation.revoke(
                CredentialRevoked(kind: .apiKey, id: id, until: until), tenant: Principal.defaultTenant)
            try await mutation.audit(
                AuditEntry(
                    "key.revoke", tenant: Principal.defaultTenant, actor: "owner", target: id, reason: "replaced"))
        }
        if !replaced.isEmpty {
            // The key before may have been known to others: what it signed for goes with it. Keys that it made are listed, and stay.
            let until = Timestamp.now + .seconds(AccessTokens.lifetimeMax)
            try await mutation.revoke(
                CredentialRevoked(kind: .user, id: "owner", before: .now, until: until),
                tenant: Principal.defaultTenant)
        }
        return try row.decode("revoked_at", as: Timestamp?.self) == nil ? .known : .revoked
    }
}
