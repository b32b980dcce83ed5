import Database
import Events
import HTTPTypes
import ServiceKit

/// What an asker may do to users, each within one transaction, which looks again at who they are.
struct UserChanges {
    let authority: UserAuthority
    /// Who asks, for the audit log; the rest is filled in here.
    let entry: AuditEntry

    static let missing = APIFailure(.notFound, "No such user")

    /// Only an asker who sees the user learns that they have the address: it may belong to somebody of another channel.
    private func taken(_ email: String, _ mutation: Mutation) async throws -> APIFailure {
        let found = try await mutation.query(UserRecord.query(where: "lower(u.email) = lower(\(email))")).first
        let isSeen = try found.map { self.authority.sees(try UserRecord($0).user) } ?? false
        return APIFailure(
            .conflict,
            isSeen ? "Another user has that e-mail address" : "The e-mail address cannot be used",
            details: ["field": "email"])
    }

    private func forbidden(_ message: String, _ field: String) -> APIFailure {
        APIFailure(.forbidden, message, details: ["field": field])
    }

    // MARK: who

    /// A user that the asker may change. Throws 404 and 403.
    func managed(_ id: String, _ mutation: Mutation) async throws -> UserRecord {
        guard let record = try await UserRecord.find(id, mutation), self.authority.sees(record.user) else {
            throw Self.missing
        }
        guard self.authority.manages(record.user) else {
            throw APIFailure(.forbidden, "The user has roles elsewhere, or more of them than the asker")
        }
        return record
    }

    private func note(_ user: User, _ action: String, _ reason: String? = nil) -> AuditEntry {
        var entry = self.entry
        (entry.action, entry.target, entry.reason) = (action, user.id, reason)
        entry.tenant = self.authority.tenant(of: user)
        return entry
    }

    // MARK: changes

    func create(_ draft: UserDraft, passwordHash: PasswordHash?, _ mutation: Mutation) async throws -> UserRecord {
        let (id, email, roles) = (ULID().text, draft.email ?? "", draft.roles ?? [])
        try self.checkOwner(draft)
        guard self.authority.isAdmin || !roles.isEmpty else {
            throw APIFailure(
                .badRequest, "roles must have one of the asker's channel", details: ["field": "roles"])
        }
        let made = try await mutation.query(
            """
            INSERT INTO users (id, email, name, password_hash, is_owner)
            VALUES (\(id), \(email), \(draft.name ?? email), \(passwordHash?.text), \(draft.isOwner ?? false))
            ON CONFLICT DO NOTHING RETURNING id
            """)
        guard !made.isEmpty else { throw try await self.taken(email, mutation) }
        try await self.replace([], by: roles, of: id, mutation)
        let record = try await self.reread(id, mutation)
        try await mutation.audit(self.note(record.user, "user.create"))
        return record
    }

    func update(_ id: String, _ draft: UserDraft, _ mutation: Mutation) async throws -> UserRecord {
        let old = try await self.managed(id, mutation)
        try self.checkOwner(draft)
        let isDisabled = draft.isDisabled ?? (old.disabled != nil)
        let isOwner = draft.isOwner ?? old.user.isOwner
        if isDisabled || !isOwner { try await self.keepOwner(old, mutation) }
        if let email = draft.email {
            let others = try await mutation.query(
                "SELECT 1 FROM users WHERE lower(email) = lower(\(email)) AND id <> \(id)")
            guard others.isEmpty else { throw try await self.taken(email, mutation) }
        }
        _ = try await mutation.query(
            """
            UPDATE users SET email = coalesce(\(draft.email), email), name = coalesce(\(draft.name), name),
                is_owner = \(isOwner), updated_at = now(),
                disabled_at = CASE WHEN \(isDisabled) THEN coalesce(disabled_at, now()) END
            WHERE id = \(id)
            """)
        let new = try await self.reread(id, mutation)
        let entry = self.note(new.user, "user.update", draft.changes)
        let isDisabledNow = isDisabled && old.disabled == nil
        if isDisabledNow || (old.user.isOwner && !isOwner) {
            try await old.user.endCredentials(keys: isDisabledNow, because: entry, mutation)
            try await new.user.endExcessKeys(because: entry, mutation)
        }
        try await mutation.audit(entry)
        return new
    }

    func delete(_ id: String, _ mutation: Mutation) async throws {
        let record = try await self.managed(id, mutation)
        try await self.keepOwner(record, mutation)
        let entry = self.note(record.user, "user.delete")
        try await record.user.endCredentials(keys: true, because: entry, mutation)
        _ = try await mutation.query("DELETE FROM users WHERE id = \(id)")
        try await mutation.audit(entry)
    }

    /// Replaces the roles that are the asker's business, and leaves the others.
    func setRoles(_ id: String, _ roles: [Membership], _ mutation: Mutation) async throws -> UserRecord {
        guard let old = try await UserRecord.find(id, mutation), self.authority.sees(old.user) else {
            throw Self.missing
        }
        let before = self.authority.visible(old.user)
        guard before.allSatisfy({ self.authority.mayGive($0.role) }) else {
            throw self.forbidden("The user has a role that is more than the asker has", "roles")
        }
        try await self.replace(before, by: roles, of: id, mutation)
        try self.requireRoom(for: roles, beside: Set(old.user.memberships).subtracting(before))
        let new = try await self.reread(id, mutation)
        let entry = self.note(old.user, "user.update", "roles")
        // Whoever was given less than they had begins anew.
        if before.contains(where: { was in
            !roles.contains { $0.tenant == was.tenant && $0.station == was.station && $0.role >= was.role }
        }) {
            try await old.user.endCredentials(keys: false, because: entry, mutation)
            try await new.user.endExcessKeys(because: entry, mutation)
        }
        try await mutation.audit(entry)
        return new
    }

    func setPassword(_ record: UserRecord, _ hash: PasswordHash, _ mutation: Mutation) async throws {
        let id = record.user.id
        _ = try await mutation.query(
            "UPDATE users SET password_hash = \(hash.text), updated_at = now() WHERE id = \(id)")
        let entry = self.note(record.user, "user.update", "password")
        try await record.user.endCredentials(keys: false, because: entry, mutation)
        try await mutation.audit(entry)
    }

    func signOut(_ record: UserRecord, _ mutation: Mutation) async throws {
        let entry = self.note(record.user, "user.revoke")
        try await record.user.endCredentials(keys: false, because: entry, mutation)
        try await mutation.audit(entry)
    }

    // MARK: rules

    private func checkOwner(_ draft: UserDraft) throws(APIFailure) {
        guard draft.isOwner == nil || self.authority.isAdmin else {
            throw self.forbidden("Ownership needs the scope auth:admin", "owner")
        }
    }

    /// Throws 400 where the roles and those that stay are more than a user may have in a channel.
    private func requireRoom(for roles: [Membership], beside others: Set<Membership>) throws(APIFailure) {
        let all = Dictionary(grouping: roles + others, by: \.tenant)
        guard all.values.allSatisfy({ $0.count <= UserDraft.rolesMax }) else {
            throw APIFailure(
                .badRequest, "A user has at most \(UserDraft.rolesMax) roles in a channel", details: ["field": "roles"])
        }
    }

    /// Throws 409 if there would be no owner left.
    private func keepOwner(_ record: UserRecord, _ mutation: Mutation) async throws {
        guard record.user.isOwner, record.disabled == nil else { return }
        let others = try await mutation.query(
            "SELECT 1 FROM users WHERE is_owner AND disabled_at IS NULL AND id <> \(record.user.id) LIMIT 1")
        guard !others.isEmpty else { throw APIFailure(.conflict, "The last owner stays one") }
    }

    /// Throws 403 for a role that is not the asker's to give, 400 for a channel that is not there.
    private func replace(
        _ before: [Membership], by roles: [Membership], of id: String, _ mutation: Mutation
    ) async throws {
        for (index, role) in roles.enumerated() {
            guard self.authority.covers(tenant: role.tenant, station: role.station) else {
                throw self.forbidden("Another channel or station than the asker's", "roles[\(index)]")
            }
            guard self.authority.mayGive(role.role) else {
                throw self.forbidden("The role is more than the asker has", "roles[\(index)].role")
            }
        }
        for role in before {
            _ = try await mutation.query(
                "DELETE FROM memberships WHERE user_id = \(id) AND tenant = \(role.tenant) AND station = \(role.station ?? "")"
            )
        }
        let channels = try await mutation.query("SELECT id FROM channels WHERE id = ANY (\(roles.map(\.tenant)))")
        let known = Set(try channels.map { row throws(DatabaseError) in try row.decode("id", as: String.self) })
        for (index, role) in roles.enumerated() {
            guard known.contains(role.tenant) else {
                let field = "roles[\(index)].channel"
                throw APIFailure(.badRequest, "\(field) is not there", details: ["field": field])
            }
            _ = try await mutation.query(
                """
                INSERT INTO memberships (user_id, tenant, station, role)
                VALUES (\(id), \(role.tenant), \(role.station ?? ""), \(role.role.rawValue))
                """)
        }
    }

    private func reread(_ id: String, _ mutation: Mutation) async throws -> UserRecord {
        guard let record = try await UserRecord.find(id, mutation) else { throw Self.missing }
        return record
    }
}

extension UserDraft {
    /// Which members it changes, for the audit log.
    fileprivate var changes: String {
        let all: [(String, Bool)] = [
            ("email", self.email != nil), ("name", self.name != nil), ("owner", self.isOwner != nil),
            (self.isDisabled == true ? "disabled" : "enabled", self.isDisabled != nil),
        ]
        return all.filter(\.1).map(\.0).joined(separator: " ")
    }
}
