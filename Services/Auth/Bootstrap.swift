import Database
import Events
import Logging
import ServiceLifecycle

/// What auth does once its database is there: loads or makes the signing keys, and makes the local owner's key known.
struct Bootstrap: Service {
    let writer: EventWriter
    let keys: SigningKeys
    let ownerKey: String?
    let logger: Logger

    private static let retry = Duration.milliseconds(200)

    func run() async throws {
        try await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await self.keys.load(self.writer)
                    try await self.registerOwner()
                    break
                } catch is DatabaseError {
                    // `try?`: the sleep fails only when it is cancelled, and then the loop ends.
                    try? await Task.sleep(for: Self.retry)
                }
            }
        }
        // A part that returns would end the process.
        try? await gracefulShutdown()
    }

    private func registerOwner() async throws {
        guard let ownerKey = self.ownerKey else { return }
        let scope = Scopes([.all, .authAdmin]).claim
        _ = try await self.writer.write { mutation in
            try await mutation.query(
                """
                INSERT INTO api_keys (id, hash, prefix, name, tenant, subject, scope, tier)
                VALUES ('owner', \(Secret.hash(ownerKey)), \(String(ownerKey.prefix(12))), 'owner', \(Principal.defaultTenant),
                        'owner', \(scope), \(Tier.enterprise.rawValue))
                ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, prefix = excluded.prefix, revoked_at = NULL
                """)
        }
        self.logger.info("The owner's key is known")
    }
}
