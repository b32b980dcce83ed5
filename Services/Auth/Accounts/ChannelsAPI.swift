import Access
import Database
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Channels over REST: the tenants that things and credentials belong to.
struct ChannelsAPI {
    let database: Database
    let writer: EventWriter

    private static let missing = APIFailure(.notFound, "No such channel")

    private struct Listed: Encodable {
        let id: String
        let name: String
        let created_at: String
        let updated_at: String

        init(_ row: Row) throws(DatabaseError) {
            self.id = try row.decode("id")
            self.name = try row.decode("name")
            self.created_at = try row.decode("created_at", as: Timestamp.self).iso8601
            self.updated_at = try row.decode("updated_at", as: Timestamp.self).iso8601
        }
    }

    func add(to router: Router<APIContext>) {
        router.get("/v1/auth/channels") { request, context in try await self.list(request, context) }
        router.get("/v1/auth/channels/:id") { _, context in try await self.show(context) }
        router.post("/v1/auth/channels") { request, context in try await self.create(request, context) }
        router.patch("/v1/auth/channels/:id") { request, context in try await self.update(request, context) }
    }

    /// Answers `FindChannel`.
    func name(of id: String) async throws -> String? {
        do {
            let rows = try await self.database.query("SELECT name FROM channels WHERE id = \(id)")
            return try rows.first?.decode("name", as: String.self)
        } catch {
            throw CommandFailure(.unavailable, "\(error)")
        }
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let authority = try UserAuthority(context, UserAuthority.read)
        let page = try Page(request)
        let rows = try await self.database.query(
            """
            SELECT id, name, created_at, updated_at FROM channels
            WHERE (\(authority.isAdmin) OR id = \(authority.asker.tenant))
                AND (\(page.cursor)::text IS NULL OR id > \(page.cursor)::text)
            ORDER BY id LIMIT \(page.limit + 1)
            """)
        return page.answer(try rows.map { row throws(DatabaseError) in try Listed(row) }) { $0.id }
    }

    private func show(_ context: APIContext) async throws -> Response {
        let authority = try UserAuthority(context, UserAuthority.read)
        let id = try context.requireName("id")
        guard id == authority.asker.tenant || authority.isAdmin else { throw Self.missing }
        let rows = try await self.database.query(
            "SELECT id, name, created_at, updated_at FROM channels WHERE id = \(id)")
        guard let row = rows.first else { throw Self.missing }
        return Response.json(try Listed(row))
    }

    private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        try context.require(.authAdmin, on: .channel)
        let members = Members(try await request.decodeObject(context), nullIsAbsent: false)
        try members.requireOnly(["id", "name"], "is not known here")
        let rule = "must be 1 to 64 letters, digits, '-' or '_'"
        let id = try members.require("id", try members.text("id", rule, where: Grant.isName))
        let name = try Self.name(members) ?? id
        let entry = AuditEntry("channel.create", by: context, tenant: id, target: id)
        let row = try await self.writer.write(for: try context.requirePrincipal()) { mutation in
            let rows = try await mutation.query(
                """
                INSERT INTO channels (id, name) VALUES (\(id), \(name)) ON CONFLICT DO NOTHING
                RETURNING id, name, created_at, updated_at
                """)
            guard let row = rows.first else {
                throw APIFailure(.conflict, "There is such a channel", details: ["field": "id"])
            }
            try await mutation.audit(entry)
            return row
        }
        return Response.json(try Listed(row), status: .created)
    }

    private func update(_ request: Request, _ context: APIContext) async throws -> Response {
        let authority = try UserAuthority(context, UserAuthority.write)
        let id = try context.requireName("id")
        guard id == authority.asker.tenant || authority.isAdmin else { throw Self.missing }
        guard authority.covers(tenant: id, station: nil) else {
            throw APIFailure(.forbidden, "A channel's name is not a station's")
        }
        let members = Members(try await request.decodeObject(context), nullIsAbsent: false)
        try members.requireOnly(["name"], "is not known here")
        let name = try members.require("name", try Self.name(members))
        let entry = AuditEntry("channel.update", by: context, tenant: id, target: id)
        let row = try await self.writer.write(for: try context.requirePrincipal()) { mutation in
            let rows = try await mutation.query(
                """
                UPDATE channels SET name = \(name), updated_at = now() WHERE id = \(id)
                RETURNING id, name, created_at, updated_at
                """)
            guard let row = rows.first else { throw Self.missing }
            try await mutation.audit(entry)
            return row
        }
        return Response.json(try Listed(row))
    }

    private static func name(_ members: Members) throws(APIFailure) -> String? {
        guard let name = try members.text("name", 1...200) else { return nil }
        return try name.requireName(field: "name")
    }
}
