import Access
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// The links to OBS: contract source-saver §10, *OBS*, status to reconnect, and `/api/obs/connections`.
struct ConnectionsAPI {
    let connections: OBSConnections
    let keepers: ConnectionKeepers
    let target: OBSTarget
    let audit: CommandAudit

    private static let auditLimits = 1...1000

    func add(to router: Router<APIContext>) {
        router.get("/api/obs/connections") { try await self.list($1) }
        router.post("/api/obs/connections") { try await self.create($0, $1) }
        router.get("/api/obs/connections/:connection") { try await self.read($1) }
        router.put("/api/obs/connections/:connection") { try await self.update($0, $1) }
        router.delete("/api/obs/connections/:connection") { try await self.delete($1) }
        for prefix in OBSTarget.prefixes {
            router.get(RouterPath("\(prefix)/status")) { try await self.status($1) }
            router.post(RouterPath("\(prefix)/connect")) { try await self.connect($0, $1) }
            router.post(RouterPath("\(prefix)/disconnect")) { try await self.disconnect($1) }
            router.post(RouterPath("\(prefix)/reconnect")) { try await self.reconnect($1) }
            router.get(RouterPath("\(prefix)/audit")) { try await self.commands($0, $1) }
        }
    }

    // MARK: the resource

    @Sendable
    private func list(_ context: APIContext) async throws -> Response {
        let principal = try context.requireSomewhere(.obsRead)
        let visible = try await self.connections.list(tenant: principal.tenant)
            .filter { principal.permits(.obsRead, on: .obsConnection($0.name)) }
        return .json(
            [
                "connections": .array(visible.map(self.json)), "total": .integer(Int64(visible.count)),
            ] as JSON)
    }

    @Sendable
    private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let principal = try await self.audit.authorize("connection.create", .obsConnect, on: nil, context)
        let draft = try ConnectionDraft(try await request.decodeObject(context))
        try draft.requireOnlyKnown()
        try draft.requireStream(within: principal)
        let name = try draft.name()
        _ = try draft.requireAddress()
        let connection = try await self.audit.carryOut(
            "connection.create", .obsConnect, on: name, context, details: draft.details
        ) { principal in
            let connection = try await self.connections.create(name, draft, by: principal)
            await self.keepers.apply(connection)
            return connection
        }
        return .json(self.json(connection), status: .created)
    }

    @Sendable
    private func read(_ context: APIContext) async throws -> Response {
        let principal = try self.target.reader(context)
        let connection = try await self.connections.find(self.target.name(context), tenant: principal.tenant)
        return .json(self.json(connection))
    }

    @Sendable
    private func update(_ request: Request, _ context: APIContext) async throws -> Response {
        let name = self.target.name(context)
        let principal = try await self.audit.authorize("connection.update", .obsConnect, on: name, context)
        let draft = try ConnectionDraft(try await request.decodeObject(context))
        try draft.requireOnlyKnown()
        guard !draft.isEmpty else {
            throw APIFailure(.badRequest, "Validation failed: at least one field of a connection is required")
        }
        try draft.requireStream(within: principal)
        let connection = try await self.audit.carryOut(
            "connection.update", .obsConnect, on: name, context, details: draft.details
        ) { principal in
            let connection = try await self.connections.update(name, draft, by: principal)
            await self.keepers.apply(connection)
            return connection
        }
        return .json(self.json(connection))
    }

    @Sendable
    private func delete(_ context: APIContext) async throws -> Response {
        let name = self.target.name(context)
        let connection = try await self.audit.carryOut("connection.delete", .obsConnect, on: name, context) {
            principal in
            let connection = try await self.connections.delete(name, tenant: principal.tenant)
            await self.keepers.end(connection.id)
            return connection
        }
        return .json(
            [
                "success": true, "message": "Connection deleted successfully",
                "deletedConnection": ["id": .string(connection.id), "name": .string(name)],
            ] as JSON)
    }

    private func json(_ connection: OBSConnection) -> JSON {
        let status = self.keepers.keeper(connection.id)?.status
        return [
            "name": .string(connection.name), "id": .string(connection.id), "host": .string(connection.host),
            "port": .integer(Int64(connection.port)), "path": .string(connection.path), "tls": .bool(connection.tls),
            "hasPassword": .bool(connection.password != nil), "enabled": .bool(connection.enabled),
            "wins": .string(connection.wins.rawValue), "inputKind": .string(connection.inputKind),
            "fallbackKind": JSON(connection.fallbackKind), "refreshPages": .bool(connection.refreshPages),
            "streamId": JSON(connection.stream),
            "state": .string((status?.state ?? (connection.enabled ? .connecting : .off)).rawValue),
            "connected": .bool(status?.isConnected ?? false), "problem": JSON(status?.problem),
            "streamProblem": JSON(status?.streamProblem),
            "obsVersion": JSON(status?.versions?.obs), "websocketVersion": JSON(status?.versions?.websocket),
            "lastConnected": JSON((status?.lastConnected ?? connection.lastConnected)?.iso8601),
            "currentScene": JSON(status?.isConnected == true ? connection.programScene : nil),
            "createdAt": .string(connection.createdAt.iso8601), "updatedAt": .string(connection.updatedAt.iso8601),
        ]
    }

    // MARK: the link

    @Sendable
    private func status(_ context: APIContext) async throws -> Response {
        let principal = try self.target.reader(context)
        let keeper = try await self.target.keeper(context, principal)
        let status = keeper?.status
        return .json(
            [
                "connected": .bool(status?.isConnected ?? false), "connectionId": JSON(keeper?.connection.id),
                "obsVersion": JSON(status?.versions?.obs), "websocketVersion": JSON(status?.versions?.websocket),
                "lastConnected": JSON(status?.lastConnected?.iso8601),
            ] as JSON)
    }

    @Sendable
    private func connect(_ request: Request, _ context: APIContext) async throws -> Response {
        let name = self.target.name(context)
        let principal = try await self.audit.authorize("connection.connect", .obsConnect, on: name, context)
        var body = try await request.decodeOptionalObject(context)
        body["enabled"] = true
        let draft = try ConnectionDraft(body)
        try draft.requireStream(within: principal)
        // The contract's `connect` says where OBS is, and its clients may send more; a named connection is known already.
        if context.parameters.get("connection") == nil {
            _ = try draft.requireAddress()
        } else {
            try draft.requireOnlyKnown()
        }
        let keeper = try await self.audit.carryOut(
            "connection.connect", .obsConnect, on: name, context, details: draft.details
        ) { principal in
            let connection: OBSConnection
            if try await self.connections.lookUp(name, tenant: principal.tenant) != nil {
                connection = try await self.connections.update(name, draft, by: principal)
            } else if name == OBSConnection.defaultName {
                connection = try await self.connections.create(name, draft, by: principal)
            } else {
                throw OBSConnections.notFound(name)
            }
            return try await self.connected(connection)
        }
        return self.answer(keeper, "Successfully connected to OBS")
    }

    @Sendable
    private func reconnect(_ context: APIContext) async throws -> Response {
        let name = self.target.name(context)
        let keeper = try await self.audit.carryOut("connection.reconnect", .obsConnect, on: name, context) {
            principal in
            guard try await self.connections.lookUp(name, tenant: principal.tenant) != nil else {
                guard name == OBSConnection.defaultName else { throw OBSConnections.notFound(name) }
                throw APIFailure(.internalServerError, "Failed to connect to OBS: there is no connection to make again")
            }
            return try await self.connected(
                try await self.connections.setEnabled(true, name, tenant: principal.tenant))
        }
        return self.answer(keeper, "Successfully reconnected to OBS")
    }

    /// Makes the link anew and waits for the outcome. Throws 500.
    private func connected(_ connection: OBSConnection) async throws -> ConnectionKeeper {
        let keeper = await self.keepers.restart(connection)
        if let failure = await keeper.outcome() {
            throw APIFailure(.internalServerError, "Failed to connect to OBS: \(failure.message)")
        }
        return keeper
    }

    private func answer(_ keeper: ConnectionKeeper, _ message: String) -> Response {
        let connection = keeper.connection
        return .json(
            [
                "success": true, "message": .string(message),
                "connectionDetails": [
                    "host": .string(connection.host), "port": .integer(Int64(connection.port)),
                    "connected": .bool(keeper.status.isConnected),
                ],
            ] as JSON)
    }

    @Sendable
    private func disconnect(_ context: APIContext) async throws -> Response {
        let name = self.target.name(context)
        try await self.audit.carryOut("connection.disconnect", .obsConnect, on: name, context) { principal in
            guard try await self.connections.lookUp(name, tenant: principal.tenant) != nil else {
                // There is nothing to disconnect, and that is what was wanted.
                if name == OBSConnection.defaultName { return }
                throw OBSConnections.notFound(name)
            }
            let connection = try await self.connections.setEnabled(false, name, tenant: principal.tenant)
            _ = await self.keepers.restart(connection).outcome()
        }
        return .json(["success": true, "message": "Successfully disconnected from OBS"] as JSON)
    }

    @Sendable
    private func commands(_ request: Request, _ context: APIContext) async throws -> Response {
        let name = context.parameters.get("connection")
        let principal = try context.require(.obsConnect, on: name.map(Room.obsConnection) ?? .channel)
        let query = request.uri.queryParameters
        let limit = try query.number("limit", Self.auditLimits, default: 100)
        let before = query["before"].map(String.init)
        guard before.map({ ULID(text: $0) != nil }) ?? true else {
            throw APIFailure(.badRequest, "Validation failed: before must be the id of an entry")
        }
        let entries = try await self.audit.list(
            tenant: principal.tenant, connection: name, limit: limit, before: before)
        return .json(AuditPage(entries: entries, next: entries.count < limit ? nil : entries.last?.id))
    }
}

private struct AuditPage: Encodable {
    var entries: [CommandAudit.Entry]
    var next: String?

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.entries, forKey: .entries)
        try container.encode(self.next, forKey: .next)
    }

    private enum CodingKeys: String, CodingKey { case entries, next }
}
