import Database
import Events
import Hummingbird

/// Browsers that signed in at the login page.
struct BrowserSessions: Sendable {
    let database: Database
    let writer: EventWriter
    let users: Users
    let cookies: BrowserCookies

    static let lifetime = Duration.seconds(12 * 3600)

    struct Found: Sendable {
        let user: User
        /// The cookie's.
        let secret: String
    }

    /// Who is signed in; `nil`: nobody, or somebody who may not sign in any longer.
    func find(_ request: Request) async throws -> Found? {
        guard let secret = self.cookies.read(.session, of: request) else { return nil }
        let rows = try await self.database.query(
            "SELECT user_id FROM browser_sessions WHERE hash = \(Secret.hash(secret)) AND expires_at > now()")
        guard let row = rows.first, let user = try await self.users.user(try row.decode("user_id")) else { return nil }
        return Found(user: user, secret: secret)
    }

    /// Begins a session with a secret of its own, whatever the browser showed before: that one ends.
    func begin(_ user: User, replacing old: String?) async throws -> String {
        let secret = BrowserCookies.secret()
        _ = try await self.writer.write { mutation in
            guard try await user.isStillLetIn(mutation) else { throw Users.invalidCredentials }
            if let old {
                _ = try await mutation.query("DELETE FROM browser_sessions WHERE hash = \(Secret.hash(old))")
            }
            return try await mutation.query(
                """
                INSERT INTO browser_sessions (hash, user_id, expires_at)
                VALUES (\(Secret.hash(secret)), \(user.id), \(Timestamp.now + Self.lifetime))
                """)
        }
        return secret
    }

    /// Ends one, on the user's word.
    func end(_ session: Found, address: String) async throws {
        let entry = AuditEntry(
            "user.logout", tenant: session.user.tenants.first, actor: session.user.id, address: address,
            target: session.user.id, reason: "browser")
        _ = try await self.writer.write { mutation in
            _ = try await mutation.query("DELETE FROM browser_sessions WHERE hash = \(Secret.hash(session.secret))")
            try await mutation.audit(entry)
        }
    }
}

extension User {
    /// Whether they were neither disabled nor signed out of everything since they were read.
    func isStillLetIn(_ mutation: Mutation) async throws -> Bool {
        guard let record = try await UserRecord.find(self.id, mutation) else { return false }
        return record.disabled == nil && record.user.generation == self.generation
    }
}
