import Database
import Events
import HTTPTypes
import ServiceKit

/// The users, and who of them is at the door.
struct Users: Sendable {
    let database: Database
    let writer: EventWriter
    let trail: AuditTrail
    let passwords: PasswordHasher
    let limits: AttemptLimits

    static let invalidCredentials = APIFailure(
        .unauthorized, code: "invalid_credentials", "The e-mail address or the password is wrong",
        headers: [.wwwAuthenticate: "Bearer"])

    /// The user with that e-mail address and password. Throws 401 (`invalid_credentials`), 429 with `Retry-After` after too many
    /// failures of the account or the address, 503 without the database. Failures take as long as successes.
    func authenticate(email: String, password: String, address: String) async throws -> User {
        try self.begin(email, address)
        let record: UserRecord?
        let isRight: Bool
        do {
            record = try await self.record(email: email)
            isRight = try await self.passwords.matches(password, record?.passwordHash)
        } catch {
            self.limits.withdraw(account: email, address: address)
            throw error
        }
        guard let record, isRight, record.disabled == nil else {
            self.limits.failed(account: email, address: address)
            let reason = record == nil ? "unknown" : isRight ? "disabled" : "password"
            // Never the e-mail address that was given: people type their passwords there.
            self.trail.note(
                AuditEntry(
                    "user.login", .refused, tenant: record?.user.tenants.first, address: address,
                    target: record?.user.id, reason: reason))
            throw Self.invalidCredentials
        }
        self.limits.succeeded(account: email, address: address)
        try await self.note(record, password: password, address: address)
        return record.user
    }

    /// Whether it is that user's password; counts like a sign-in. Throws what `authenticate` does.
    func confirm(_ record: UserRecord, password: String, address: String) async throws {
        let email = record.user.email
        try self.begin(email, address)
        let isRight: Bool
        do {
            isRight = try await self.passwords.matches(password, record.passwordHash)
        } catch {
            self.limits.withdraw(account: email, address: address)
            throw error
        }
        guard isRight else {
            self.limits.failed(account: email, address: address)
            throw Self.invalidCredentials
        }
        self.limits.succeeded(account: email, address: address)
    }

    /// One who is not disabled.
    func user(_ id: String) async throws -> User? {
        guard let record = try await self.record(id), record.disabled == nil else { return nil }
        return record.user
    }

    /// One who may be disabled.
    func record(_ id: String) async throws -> UserRecord? {
        guard Grant.isName(id) else { return nil }
        return try await self.database.query(UserRecord.query(where: "u.id = \(id)")).first.map(UserRecord.init)
    }

    private func record(email: String) async throws -> UserRecord? {
        guard EmailAddress.isValid(email) else { return nil }
        return try await self.database.query(UserRecord.query(where: "lower(u.email) = lower(\(email))")).first
            .map(UserRecord.init)
    }

    private func begin(_ email: String, _ address: String) throws {
        guard let seconds = self.limits.begin(account: email, address: address) else { return }
        self.trail.note(AuditEntry("user.login", .refused, address: address, reason: "throttled"))
        throw APIFailure(
            .tooManyRequests, code: "rate_limited", "Too many failed sign-ins", headers: [.retryAfter: "\(seconds)"])
    }

    /// A hash that is cheaper to guess than ours is made anew: only now is the password there.
    private func note(_ record: UserRecord, password: String, address: String) async throws {
        let (user, old) = (record.user, record.passwordHash)
        let isWeak = old?.cost.isBelow(self.passwords.cost) ?? false
        let renewed = isWeak ? try await self.passwords.hash(password).text : nil
        _ = try await self.writer.write { mutation in
            // Not over a password that was changed meanwhile.
            _ = try await mutation.query(
                """
                UPDATE users SET last_login_at = now(), password_hash = CASE WHEN password_hash = \(old?.text) THEN
                    coalesce(\(renewed), password_hash) ELSE password_hash END WHERE id = \(user.id)
                """)
            try await mutation.audit(
                AuditEntry(
                    "user.login", tenant: user.tenants.first, actor: user.id, address: address, target: user.id))
        }
    }
}
