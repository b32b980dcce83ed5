import Access
import Database
import Events

/// One line of the audit log: who did what, or was refused. Never with a secret.
struct AuditEntry: Sendable, Hashable {
    enum Outcome: String { case done, refused }

    /// `domain.verb`, a constant: `key.create`, `token.issue`, `user.login`.
    var action: String
    var outcome: Outcome
    var tenant: String?
    /// The subject of whoever did it, as far as it is known.
    var actor: String?
    /// The id of the credential that it was done with.
    var credential: String?
    var address: String?
    /// The id of what it was done to.
    var target: String?
    /// Why it was refused, or what there is to add.
    var reason: String?

    init(
        _ action: String, _ outcome: Outcome = .done, tenant: String? = nil, actor: String? = nil,
        credential: String? = nil, address: String? = nil, target: String? = nil, reason: String? = nil
    ) {
        self.action = action
        self.outcome = outcome
        self.tenant = tenant
        self.actor = actor
        self.credential = credential
        self.address = address
        self.target = target
        self.reason = reason
    }

    /// What the sender of a request did. `tenant`: whose thing it is; the sender's own unless given.
    init(
        _ action: String, by context: APIContext, tenant: String? = nil, target: String? = nil, reason: String? = nil
    ) {
        self.init(
            action, tenant: tenant ?? context.principal?.tenant, actor: context.principal?.subject,
            credential: context.principal?.credentialID, address: context.clientAddress, target: target, reason: reason)
    }
}

extension Mutation {
    /// Writes the entry together with the change that it tells of.
    func audit(_ entry: AuditEntry) async throws {
        _ = try await self.query(
            """
            INSERT INTO audit (id, time, action, outcome, tenant, actor, credential, address, target, reason)
            VALUES (\(ULID().text), now(), \(entry.action), \(entry.outcome.rawValue), \(entry.tenant), \(entry.actor),
                    \(entry.credential), \(entry.address), \(entry.target), \(entry.reason))
            """)
    }
}

extension Mutation {
    /// Writes many at once, each for as many alike ones as its count says.
    func audit(_ entries: [(entry: AuditEntry, count: Int, time: Timestamp)]) async throws {
        // Arrays of text have no NULL here: an empty text stands for it.
        // Nor a NUL, which Postgres does not store: one entry must not cost the others.
        func column(_ value: (AuditEntry) -> String?) -> [String] {
            entries.map { (value($0.entry) ?? "").replacing("\u{0}", with: "") }
        }
        _ = try await self.query(
            """
            INSERT INTO audit (id, time, action, outcome, tenant, actor, credential, address, target, reason, count)
            SELECT e.id, timestamptz 'epoch' + e.time * interval '1 millisecond', e.action, e.outcome, nullif(e.tenant, ''),
                nullif(e.actor, ''), nullif(e.credential, ''), nullif(e.address, ''), nullif(e.target, ''),
                nullif(e.reason, ''), e.count
            FROM unnest(
                \(entries.map { ULID(at: $0.time).text }), \(entries.map(\.time.milliseconds)), \(column(\.action)),
                \(column(\.outcome.rawValue)), \(column(\.tenant)), \(column(\.actor)), \(column(\.credential)),
                \(column(\.address)), \(column(\.target)), \(column(\.reason)), \(entries.map { Int64($0.count) })
            ) AS e(id, time, action, outcome, tenant, actor, credential, address, target, reason, count)
            """)
    }
}
