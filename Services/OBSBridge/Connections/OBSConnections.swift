import Access
import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit
import WebSockets

/// The OBS connections as they are stored, a set a tenant.
struct OBSConnections: Sendable {
    private let database: Database
    private let writer: EventWriter
    let seal: PasswordSeal

    /// Connections of a tenant.
    static let max = 100

    init(_ service: DomainService, seal: PasswordSeal) {
        self.database = service.database
        self.writer = service.writer
        self.seal = seal
    }

    /// All tenants', for the keepers.
    func all() async throws -> [OBSConnection] {
        try await self.database.query("SELECT * FROM connections ORDER BY id")
            .map { row throws(DatabaseError) in try OBSConnection(row) }
    }

    /// All tenants'. Passwords that are sealed for their connection's id only are sealed for its address first.
    func allResealed() async throws -> [OBSConnection] {
        let seal = self.seal
        for connection in try await self.all() where try seal.resealed(connection) != nil {
            _ = try await self.change(connection.name, tenant: connection.tenant) { current in
                current.password = try seal.resealed(current) ?? current.password
            }
        }
        return try await self.all()
    }

    func list(tenant: String) async throws -> [OBSConnection] {
        try await self.database.query("SELECT * FROM connections WHERE tenant = \(tenant) ORDER BY name")
            .map { row throws(DatabaseError) in try OBSConnection(row) }
    }

    /// Throws 404.
    func find(_ name: String, tenant: String) async throws -> OBSConnection {
        guard let connection = try await self.lookUp(name, tenant: tenant) else { throw Self.notFound(name) }
        return connection
    }

    func lookUp(_ name: String, tenant: String) async throws -> OBSConnection? {
        guard ConnectionDraft.isName(name) else { return nil }
        return try await self.database.query("SELECT * FROM connections WHERE tenant = \(tenant) AND name = \(name)")
            .first.map { row throws(DatabaseError) in try OBSConnection(row) }
    }

    /// Throws 409 when the name is taken, or when there are too many.
    func create(_ name: String, _ draft: ConnectionDraft, by principal: Principal) async throws -> OBSConnection {
        let tenant = principal.tenant
        let (host, port) = try draft.requireAddress()
        var connection = OBSConnection(name: name, tenant: tenant, host: host, port: port, at: .now)
        try draft.apply(to: &connection, seal: self.seal, tier: principal.tier, at: connection.createdAt)
        let made = connection
        do {
            return try await self.writer.write { mutation in
                let rows = try await mutation.query(
                    "SELECT count(*) AS count FROM connections WHERE tenant = \(tenant)")
                guard try rows[0].decode("count", as: Int.self) < Self.max else {
                    throw APIFailure(.conflict, "There are \(Self.max) OBS connections already")
                }
                _ = try await mutation.query(
                    """
                    INSERT INTO connections (id, tenant, name, host, port, path, tls, password, enabled, wins, input_kind,
                        fallback_kind, refresh_pages, stream, stream_tier, created_at, updated_at)
                    VALUES (\(made.id), \(tenant), \(name), \(made.host), \(made.port), \(made.path), \(made.tls),
                        \(made.password), \(made.enabled), \(made.wins.rawValue), \(made.inputKind), \(made.fallbackKind),
                        \(made.refreshPages), \(made.stream), \(made.streamTier?.rawValue), \(made.createdAt),
                        \(made.updatedAt))
                    """)
                return made
            }
        } catch DatabaseError.uniqueViolation("connections_name") {
            throw APIFailure(.conflict, "There is an OBS connection named '\(name)' already")
        }
    }

    /// Throws 404.
    func update(_ name: String, _ draft: ConnectionDraft, by principal: Principal) async throws -> OBSConnection {
        let seal = self.seal
        return try await self.change(name, tenant: principal.tenant) { connection in
            let address = connection.address
            try draft.apply(to: &connection, seal: seal, tier: principal.tier, at: .now)
            // Another OBS would start and end the stream.
            guard connection.address != address, let stream = connection.stream,
                !principal.permits(.streamsWrite, on: .stream(stream))
            else { return }
            throw APIFailure(lacking: .streamsWrite, principal)
        }
    }

    /// Says whether there is to be a link. Throws 404.
    func setEnabled(_ enabled: Bool, _ name: String, tenant: String) async throws -> OBSConnection {
        try await self.change(name, tenant: tenant) { $0.enabled = enabled }
    }

    func setStream(_ stream: String, of connection: OBSConnection) async throws -> OBSConnection {
        try await self.change(connection.name, tenant: connection.tenant) { $0.stream = stream }
    }

    private func change(
        _ name: String, tenant: String, _ body: @escaping @Sendable (inout OBSConnection) throws -> Void
    ) async throws -> OBSConnection {
        try await self.writer.write { mutation in
            guard ConnectionDraft.isName(name),
                let row = try await mutation.query(
                    "SELECT * FROM connections WHERE tenant = \(tenant) AND name = \(name)"
                ).first
            else { throw Self.notFound(name) }
            var changed = try OBSConnection(row)
            try body(&changed)
            _ = try await mutation.query(
                """
                UPDATE connections SET host = \(changed.host), port = \(changed.port), path = \(changed.path),
                    tls = \(changed.tls), password = \(changed.password), enabled = \(changed.enabled),
                    wins = \(changed.wins.rawValue), input_kind = \(changed.inputKind),
                    fallback_kind = \(changed.fallbackKind), refresh_pages = \(changed.refreshPages),
                    stream = \(changed.stream), stream_tier = \(changed.streamTier?.rawValue),
                    updated_at = \(changed.updatedAt)
                WHERE id = \(changed.id)
                """)
            return changed
        }
    }

    /// With its placements, of which nobody is told: what is in OBS stays there. Throws 404.
    func delete(_ name: String, tenant: String) async throws -> OBSConnection {
        try await self.writer.write { mutation in
            guard ConnectionDraft.isName(name),
                let row = try await mutation.query(
                    "DELETE FROM connections WHERE tenant = \(tenant) AND name = \(name) RETURNING *"
                ).first
            else { throw Self.notFound(name) }
            let connection = try OBSConnection(row)
            if connection.connected { mutation.emit(connection.changed(nil)) }
            return connection
        }
    }

    /// Tells clients that the link is up, or down (`nil`), unless they were told that last.
    func tell(_ versions: OBSVersions?, _ id: String) async throws {
        try await self.writer.write { mutation in
            guard let row = try await mutation.query("SELECT * FROM connections WHERE id = \(id)").first else { return }
            let connection = try OBSConnection(row)
            if let versions {
                _ = try await mutation.query(
                    """
                    UPDATE connections SET connected = true, obs_version = \(versions.obs),
                        websocket_version = \(versions.websocket), last_connected = \(Timestamp.now) WHERE id = \(id)
                    """)
            } else {
                _ = try await mutation.query("UPDATE connections SET connected = false WHERE id = \(id)")
            }
            if connection.connected != (versions != nil) { mutation.emit(connection.changed(versions)) }
        }
    }

    static func notFound(_ name: String) -> APIFailure {
        APIFailure(.notFound, "There is no OBS connection named '\(name.prefix(100))'")
    }
}

struct OBSVersions: Sendable, Equatable {
    var obs: String
    var websocket: String
}

extension OBSConnection {
    fileprivate func changed(_ versions: OBSVersions?) -> Event {
        let payload = OBSConnectionChanged(
            connected: versions != nil, connectionId: self.id, obsVersion: versions?.obs,
            websocketVersion: versions?.websocket)
        return Event(payload, tenant: self.tenant, room: self.name, publisher: .obsBridge)
    }
}
