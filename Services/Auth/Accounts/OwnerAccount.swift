import Configuration
import Database
import Events
import FoundationEssentials
import Logging
import ServiceKit

/// The first user, who makes the others: made at a start that finds no owner. Later starts change nothing.
struct OwnerAccount {
    private let email: String
    /// Not the password, since what a part of a process holds may end in a debug log.
    private let passwordFile: String

    private static let passwordKey = "auth.owner.password.file"

    /// `nil`: none is configured.
    init?(_ config: ConfigReader) throws {
        let email = config.string(forKey: "auth.owner.email")
        let file = config.string(forKey: "auth.owner.password.file")
        guard let email, let file else {
            guard email == nil, file == nil else {
                throw ConfigurationError(
                    key: email == nil ? "auth.owner.email" : Self.passwordKey,
                    problem: "is missing: the owner needs an e-mail address and a password's file")
            }
            return nil
        }
        guard EmailAddress.isValid(email) else {
            throw ConfigurationError(key: "auth.owner.email", problem: "must be an e-mail address")
        }
        self.email = email
        self.passwordFile = file
        _ = try self.password()
    }

    private func password() throws -> String {
        guard let data = try? Data(contentsOf: URL(filePath: self.passwordFile)) else {
            // `try?`: whatever the reason, the operator needs the key and the path.
            throw ConfigurationError(
                key: Self.passwordKey, problem: "names a file that cannot be read: \(self.passwordFile)")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw ConfigurationError(key: Self.passwordKey, problem: "must hold text in UTF-8")
        }
        // An editor's line end is not part of it.
        let password = String(text.reversed().drop(while: \.isNewline).reversed())
        do {
            try Password.require(password, email: self.email)
        } catch {
            throw ConfigurationError(key: Self.passwordKey, problem: "holds no good password: \(error.message)")
        }
        return password
    }

    func register(_ users: Users, _ logger: Logger) async throws {
        let known = try await users.writer.write { mutation in
            try await mutation.query("SELECT id FROM users WHERE is_owner LIMIT 1")
        }
        guard known.isEmpty else { return }
        let (id, hash) = (ULID().text, try await users.passwords.hash(self.password()).text)
        let made = try await users.writer.write { mutation in
            // Somebody of that address who is no owner is not made one by a file.
            let made = try await mutation.query(
                """
                INSERT INTO users (id, email, name, password_hash, is_owner) VALUES (\(id), \(self.email), 'owner', \(hash), true)
                ON CONFLICT DO NOTHING RETURNING id
                """)
            if !made.isEmpty {
                try await mutation.audit(AuditEntry("user.create", actor: "owner", target: id, reason: "first start"))
            }
            return !made.isEmpty
        }
        if made {
            logger.notice("Made the owner's user", metadata: ["user.id": "\(id)"])
        } else {
            logger.warning("auth.owner.email names a user who is not an owner: nobody was made one")
        }
    }
}
