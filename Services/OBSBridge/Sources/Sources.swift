import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// The browser sources, one set a tenant, and the events that tell of their changes (contract source-saver §11).
struct Sources: Sendable {
    private let database: Database
    private let writer: EventWriter

    /// Active sources of a tenant.
    static let activeMax = 10

    init(_ service: DomainService) {
        self.database = service.database
        self.writer = service.writer
    }

    struct Page: Sendable {
        var sources: [Source]
        var total: Int
    }

    /// In order of creation.
    func list(tenant: String, active: Bool?, limit: Int, offset: Int) async throws -> Page {
        var condition: Query = "tenant = \(tenant)"
        if let active { condition += " AND is_active = \(active)" }
        let count = try await self.database.query("SELECT count(*) AS total FROM sources WHERE \(condition)")
        let rows = try await self.database.query(
            """
            SELECT \(Source.columns) FROM sources WHERE \(condition) ORDER BY created_at, id LIMIT \(limit) OFFSET \(offset)
            """)
        return Page(sources: try rows.map(Source.init), total: try count[0].decode("total"))
    }

    /// Throws 404.
    func find(_ id: String, tenant: String) async throws -> Source {
        try Self.requireID(id)
        let rows = try await self.database.query(
            "SELECT \(Source.columns) FROM sources WHERE tenant = \(tenant) AND id = \(id)")
        guard let row = rows.first else { throw Self.notFound }
        return try Source(row)
    }

    /// Throws 409 when the name is taken.
    func create(_ draft: SourceDraft, tenant: String) async throws -> Source {
        let source = try draft.newSource(at: .now)
        return try await self.write { mutation in
            _ = try await mutation.query(
                """
                INSERT INTO sources (tenant, \(Source.columns)) VALUES (
                    \(tenant), \(source.id), \(source.name), \(source.url), \(source.width), \(source.height), \(source.refreshRate),
                    \(source.cssCustom), \(source.jsCustom), \(source.isActive), \(source.createdAt), \(source.updatedAt),
                    \(source.activatedAt), \(source.deactivatedAt))
                """)
            mutation.emit(SourceCreated(source: source), source, tenant)
            return source
        }
    }

    /// Throws 404, and 409 when the name is taken or too many sources are active.
    func update(_ id: String, _ draft: SourceDraft, tenant: String) async throws -> Source {
        try await self.change(id, tenant: tenant) { source, now in
            let changes = draft.apply(to: &source, at: now)
            guard !changes.isEmpty else { return [] }
            var payloads: [any EventPayload] = [SourceUpdated(source: source, changes: changes)]
            if changes.contains("isActive") { payloads.append(source.activityChanged(at: now)) }
            return payloads
        }
    }

    /// Throws 404, and 409 when it is active already or too many sources are.
    func activate(_ id: String, tenant: String) async throws -> Source {
        try await self.change(id, tenant: tenant) { source, now in
            guard !source.isActive else { throw APIFailure(.conflict, "Source is already active") }
            source.setActive(true, at: now)
            return [source.activityChanged(at: now)]
        }
    }

    /// Throws 404, and 409 when it is inactive already.
    func deactivate(_ id: String, tenant: String) async throws -> Source {
        try await self.change(id, tenant: tenant) { source, now in
            guard source.isActive else { throw APIFailure(.conflict, "Source is already inactive") }
            source.setActive(false, at: now)
            return [source.activityChanged(at: now)]
        }
    }

    /// Throws 404, and 409 while it is active.
    func delete(_ id: String, tenant: String) async throws -> Source {
        try await self.write { mutation in
            let source = try await mutation.source(id, tenant: tenant)
            guard !source.isActive else {
                throw APIFailure(.conflict, "Cannot delete an active source. Please deactivate it first.")
            }
            try await mutation.removePlacements(of: source, tenant: tenant)
            _ = try await mutation.query("DELETE FROM sources WHERE tenant = \(tenant) AND id = \(id)")
            _ = try await mutation.query(
                "INSERT INTO deleted_sources (id, tenant, deleted_at) VALUES (\(id), \(tenant), \(Timestamp.now))")
            mutation.emit(SourceDeleted(sourceId: id, sourceName: source.name), source, tenant)
            return source
        }
    }

    /// Whoever's it is. Throws 404.
    func find(_ id: String) async throws -> Source {
        try Self.requireID(id)
        let rows = try await self.database.query("SELECT \(Source.columns) FROM sources WHERE id = \(id)")
        guard let row = rows.first else { throw Self.notFound }
        return try Source(row)
    }

    /// Those of the ids that are there.
    func find(_ ids: [String], tenant: String) async throws -> [String: Source] {
        guard !ids.isEmpty else { return [:] }
        let rows = try await self.database.query(
            "SELECT \(Source.columns) FROM sources WHERE tenant = \(tenant) AND id = ANY (\(ids))")
        return Dictionary(try rows.map(Source.init).map { ($0.id, $0) }) { $1 }
    }

    /// Somebody renamed its input in OBS. A name that is another source's, or none of a source, changes nothing.
    func rename(_ id: String, to name: String, tenant: String) async throws {
        guard let draft = try? SourceDraft(["name": .string(name)]) else {
            // `try?`: OBS allows names that sources may not have.
            return
        }
        do {
            _ = try await self.update(id, draft, tenant: tenant)
        } catch let failure as APIFailure where [.conflict, .notFound].contains(failure.status) {
            return
        }
    }

    /// The inputs that have the source's name are to have another one, but for those of some connections.
    func renameInputs(of source: String, from name: String, to newName: String, besides connections: [String])
        async throws
    {
        try await self.writer.write { mutation in
            _ = try await mutation.query(
                """
                UPDATE inputs SET name = \(newName)
                WHERE source = \(source) AND name = \(name) AND NOT connection = ANY (\(connections))
                """)
        }
    }

    /// Forgets which sources were deleted long ago.
    func forgetDeleted() async throws {
        try await self.writer.write { mutation in
            _ = try await mutation.query("DELETE FROM deleted_sources WHERE deleted_at < now() - interval '90 days'")
        }
    }

    /// What performance-monitor wants to know; nothing while the database is away.
    func gauges() async -> [String: Double] {
        var gauges: [String: Double] = [:]
        let query: Query = """
            SELECT count(*) AS total, count(*) FILTER (WHERE is_active) AS active FROM sources
            WHERE tenant = \(Principal.defaultTenant)
            """
        // `try?`: whoever reads the gauges sees by the missing ones that the database is away.
        if let row = try? await self.database.query(query).first,
            let total = try? row.decode("total", as: Int.self), let active = try? row.decode("active", as: Int.self)
        {
            gauges["sources.total"] = Double(total)
            gauges["sources.active"] = Double(active)
        }
        return gauges
    }

    /// Changes one source and emits what `body` says, in order. One that may not go active leaves an event, and throws 409.
    private func change(
        _ id: String, tenant: String, _ body: @escaping @Sendable (inout Source, Timestamp) throws -> [any EventPayload]
    ) async throws -> Source {
        let changed: Source? = try await self.write { mutation in
            let old = try await mutation.source(id, tenant: tenant)
            var source = old
            let payloads = try body(&source, .now)
            if payloads.isEmpty { return old }
            if source.isActive, !old.isActive, try await mutation.activeSources(tenant: tenant) >= Self.activeMax {
                // Not thrown here: the event must be committed.
                mutation.emit(Self.activationFailed(old), old, tenant)
                return nil
            }
            try await mutation.store(source, tenant: tenant)
            for payload in payloads { mutation.emit(payload, source, tenant) }
            return source
        }
        guard let changed else { throw APIFailure(.conflict, Self.tooManyActive) }
        return changed
    }

    private func write<R: Sendable>(_ body: @escaping @Sendable (Mutation) async throws -> R) async throws -> R {
        do {
            return try await self.writer.write(body)
        } catch DatabaseError.uniqueViolation("sources_name") {
            throw APIFailure(.conflict, "A source with this name already exists")
        }
    }

    private static let tooManyActive =
        "Cannot activate source: the limit of \(Self.activeMax) active sources is reached."

    private static func activationFailed(_ source: Source) -> SystemError {
        SystemError(
            error: "Failed to activate source \(source.name)", sourceId: source.id, errorCode: .activationFailed,
            details: .init(reason: "The limit of \(Self.activeMax) active sources is reached", retryable: true))
    }

    static let notFound = APIFailure(.notFound, "Source not found")

    /// Throws 404 for what cannot be one of our ids, before Postgres is asked.
    fileprivate static func requireID(_ id: String) throws(APIFailure) {
        guard id.hasPrefix("source-"), ULID(text: id.dropFirst(7)) != nil else { throw Self.notFound }
    }
}

extension Source {
    fileprivate func activityChanged(at now: Timestamp) -> any EventPayload {
        if self.isActive { return SourceActivated(sourceId: self.id, sourceName: self.name, activatedAt: now) }
        return SourceDeactivated(sourceId: self.id, sourceName: self.name, deactivatedAt: now)
    }
}

extension Mutation {
    /// Takes a source out of every scene, and tells of each.
    fileprivate func removePlacements(of source: Source, tenant: String) async throws {
        let rows = try await self.query(
            """
            WITH removed AS (DELETE FROM placements WHERE source = \(source.id) RETURNING connection, scene, added_at)
            SELECT r.scene, c.name AS connection FROM removed r JOIN connections c ON c.id = r.connection
            ORDER BY r.added_at, c.name, r.scene
            """)
        for row in rows {
            let payload = SceneSourceRemoved(
                sceneName: try row.decode("scene"), sourceId: source.id, sourceName: source.name)
            self.emit(
                Event(payload, tenant: tenant, room: try row.decode("connection"), publisher: .obsBridge))
        }
    }

    /// Throws 404.
    fileprivate func source(_ id: String, tenant: String) async throws -> Source {
        try Sources.requireID(id)
        let rows = try await self.query("SELECT \(Source.columns) FROM sources WHERE tenant = \(tenant) AND id = \(id)")
        guard let row = rows.first else { throw Sources.notFound }
        return try Source(row)
    }

    fileprivate func activeSources(tenant: String) async throws -> Int {
        let rows = try await self.query("SELECT count(*) AS count FROM sources WHERE tenant = \(tenant) AND is_active")
        return try rows[0].decode("count")
    }

    fileprivate func store(_ source: Source, tenant: String) async throws {
        _ = try await self.query(
            """
            UPDATE sources SET name = \(source.name), url = \(source.url), width = \(source.width), height = \(source.height),
                refresh_rate = \(source.refreshRate), css_custom = \(source.cssCustom), js_custom = \(source.jsCustom),
                is_active = \(source.isActive), updated_at = \(source.updatedAt), activated_at = \(source.activatedAt),
                deactivated_at = \(source.deactivatedAt)
            WHERE tenant = \(tenant) AND id = \(source.id)
            """)
    }

    fileprivate func emit(_ payload: some EventPayload, _ source: Source, _ tenant: String) {
        self.emit(Event(payload, tenant: tenant, room: source.id, publisher: .obsBridge))
    }
}
