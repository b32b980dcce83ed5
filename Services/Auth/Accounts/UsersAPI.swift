import Access
import Database
import DomainService
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// Users over REST: who they are, what they may do where, and their passwords.
struct UsersAPI {
    let users: Users

    private static let path: RouterPath = "/v1/auth/users"
    private static let one: RouterPath = "/v1/auth/users/:id"

    private struct Listed: Encodable {
        struct Role: Encodable {
            let channel: String
            let station: String?
            let role: String
        }

        let id: String
        let email: String
        let name: String
        let owner: Bool
        let disabled: Bool
        let roles: [Role]
        let last_login_at: String?
        let created_at: String
        let updated_at: String

        init(_ record: UserRecord, roles: [Membership]) {
            self.id = record.user.id
            self.email = record.user.email
            self.name = record.user.name
            self.owner = record.user.isOwner
            self.disabled = record.disabled != nil
            self.roles = roles.map { Role(channel: $0.tenant, station: $0.station, role: $0.role.rawValue) }
            self.last_login_at = record.lastLogin?.iso8601
            self.created_at = record.created.iso8601
            self.updated_at = record.updated.iso8601
        }
    }

    /// What a user's programs see of them.
    private struct Named: Encodable {
        let id: String
        let name: String
    }

    private struct Me<Shown: Encodable>: Encodable {
        let subject: String
        let name: String
        let tenant: String
        let scopes: [String]
        let stations: [String]?
        let streams: [String]?
        let cameras: [String]?
        let obs_connections: [String]?
        let roles: [String]?
        let credential: String
        let expires_at: String?
        /// Missing where the credential is nobody's in particular.
        let user: Shown?

        init(_ principal: Principal, _ user: Shown?) {
            self.subject = principal.subject
            self.name = principal.name
            self.tenant = principal.tenant
            self.scopes = principal.scopes.all.map(\.name).sorted()
            let rooms = RoomLists(principal.limits)
            (self.stations, self.streams) = (rooms.stations, rooms.streams)
            (self.cameras, self.obs_connections) = (rooms.cameras, rooms.obsConnections)
            self.roles = principal.roles
            self.credential = principal.credential.rawValue
            self.expires_at = principal.expires?.iso8601
            self.user = user
        }
    }

    func add(to router: Router<APIContext>) {
        router.get("/v1/auth/me") { _, context in try await self.showSelf(context) }
        router.get(Self.path) { request, context in try await self.list(request, context) }
        router.get(Self.one) { _, context in try await self.show(context) }
        router.post(Self.path) { request, context in try await self.create(request, context) }
        router.patch(Self.one) { request, context in try await self.update(request, context) }
        router.delete(Self.one) { _, context in try await self.delete(context) }
        router.put("/v1/auth/users/:id/password") { request, context in try await self.setPassword(request, context) }
        router.put("/v1/auth/users/:id/roles") { request, context in try await self.setRoles(request, context) }
        router.post("/v1/auth/users/:id/revoke") { _, context in try await self.signOut(context) }
    }

    // MARK: reading

    private func showSelf(_ context: APIContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let record = try await self.users.record(principal.subject)
        guard principal.isSignIn else {
            return Response.json(Me(principal, record.map { Named(id: $0.user.id, name: $0.user.name) }))
        }
        return Response.json(Me(principal, record.map { Listed($0, roles: $0.user.memberships) }))
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let authority = try UserAuthority(context, UserAuthority.read)
        let page = try Page(request)
        let asked = request.uri.queryParameters["tenant"].map(String.init)
        guard asked.map(Grant.isName) ?? true else {
            throw APIFailure(.badRequest, "tenant is not valid", details: ["field": "tenant"])
        }
        guard asked == nil || asked == authority.asker.tenant || authority.isAdmin else {
            throw APIFailure(.forbidden, "Another tenant needs the scope auth:admin", details: ["field": "tenant"])
        }
        let tenant = asked ?? (authority.isAdmin ? nil : authority.asker.tenant)
        let rows = try await self.users.database.query(
            UserRecord.query(
                where: """
                    \(authority.condition(tenant: tenant)) AND (\(page.cursor)::text IS NULL OR u.id > \(page.cursor)::text)
                    ORDER BY u.id LIMIT \(page.limit + 1)
                    """))
        let records = try rows.map { row throws(DatabaseError) in try UserRecord(row) }
        return page.answer(records.map { Listed($0, roles: authority.visible($0.user)) }) { $0.id }
    }

    private func show(_ context: APIContext) async throws -> Response {
        let authority = try UserAuthority(context, UserAuthority.read)
        guard let record = try await self.users.record(try context.requireName("id")), authority.sees(record.user)
        else { throw UserChanges.missing }
        return self.answer(record, authority)
    }

    private func answer(
        _ record: UserRecord, _ authority: UserAuthority, status: HTTPResponse.Status = .ok
    ) -> Response {
        Response.json(Listed(record, roles: authority.visible(record.user)), status: status)
    }

    // MARK: writing

    private func create(_ request: Request, _ context: APIContext) async throws -> Response {
        let changes = try Self.changes(context)
        let draft = try UserDraft.new(try await request.decodeObject(context))
        let hash = try await self.hash(draft.password)
        let record = try await self.users.writer.write(for: try context.requirePrincipal()) { mutation in
            try await changes.create(draft, passwordHash: hash, mutation)
        }
        return self.answer(record, changes.authority, status: .created)
    }

    private func hash(_ password: String?) async throws -> PasswordHash? {
        guard let password else { return nil }
        return try await self.users.passwords.hash(password)
    }

    private func update(_ request: Request, _ context: APIContext) async throws -> Response {
        let (changes, id) = (try Self.changes(context), try context.requireName("id"))
        let draft = try UserDraft.change(try await request.decodeObject(context))
        let record = try await self.users.writer.write(for: try context.requirePrincipal()) { mutation in
            try await changes.update(id, draft, mutation)
        }
        return self.answer(record, changes.authority)
    }

    private func delete(_ context: APIContext) async throws -> Response {
        let (changes, id) = (try Self.changes(context), try context.requireName("id"))
        try await self.users.writer.write(for: try context.requirePrincipal()) { mutation in
            try await changes.delete(id, mutation)
        }
        return Response(status: .noContent)
    }

    private func setRoles(_ request: Request, _ context: APIContext) async throws -> Response {
        let (changes, id) = (try Self.changes(context), try context.requireName("id"))
        let members = Members(try await request.decodeObject(context), nullIsAbsent: false)
        try members.requireOnly(["roles"], "is not known here")
        let roles = try members.require("roles", try UserDraft.roles(members))
        let record = try await self.users.writer.write(for: try context.requirePrincipal()) { mutation in
            try await changes.setRoles(id, roles, mutation)
        }
        return self.answer(record, changes.authority)
    }

    /// One's own, with the password that one has; somebody else's, as who manages them.
    private func setPassword(_ request: Request, _ context: APIContext) async throws -> Response {
        let (asker, id) = (try context.requirePrincipal(), try context.requireName("id"))
        let isSelf = asker.subject == id
        let changes = isSelf ? Self.own(asker, context) : try Self.changes(context)
        let members = Members(try await request.decodeObject(context), nullIsAbsent: false)
        try members.requireOnly(isSelf ? ["password", "current_password"] : ["password"], "is not known here")
        let password = try members.require("password", try UserDraft.password(members, "password"))
        let current = try UserDraft.password(members, "current_password")
        guard let record = try await self.users.record(id), isSelf || changes.authority.sees(record.user) else {
            throw UserChanges.missing
        }
        try Password.require(password, email: record.user.email)
        if isSelf {
            try await self.confirm(record, try members.require("current_password", current), context.clientAddress)
        }
        let hash = try await self.users.passwords.hash(password)
        try await self.users.writer.write(for: try context.requirePrincipal()) { mutation in
            let now = isSelf ? try await UserRecord.find(id, mutation) : try await changes.managed(id, mutation)
            // Not over a password that was set meanwhile.
            guard let now, !isSelf || now.user.generation == record.user.generation else {
                throw APIFailure(.conflict, "The user was changed meanwhile")
            }
            try await changes.setPassword(now, hash, mutation)
        }
        return Response(status: .noContent)
    }

    private func confirm(_ record: UserRecord, _ password: String, _ address: String) async throws {
        do {
            try await self.users.confirm(record, password: password, address: address)
        } catch let failure as APIFailure where failure.status == .unauthorized {
            // The credential of the request is good.
            throw APIFailure(.forbidden, "current_password is wrong", details: ["field": "current_password"])
        }
    }

    private func signOut(_ context: APIContext) async throws -> Response {
        let (asker, id) = (try context.requirePrincipal(), try context.requireName("id"))
        let isSelf = asker.subject == id && asker.isSignIn
        let changes = isSelf ? Self.own(asker, context) : try Self.changes(context)
        try await self.users.writer.write(for: try context.requirePrincipal()) { mutation in
            let record = isSelf ? try await UserRecord.find(id, mutation) : try await changes.managed(id, mutation)
            guard let record else { throw UserChanges.missing }
            try await changes.signOut(record, mutation)
        }
        return Response(status: .noContent)
    }

    private static func changes(_ context: APIContext) throws(APIFailure) -> UserChanges {
        let authority = try UserAuthority(context, UserAuthority.write)
        return UserChanges(authority: authority, entry: AuditEntry("user.update", by: context))
    }

    /// What anybody may do to themselves.
    private static func own(_ asker: Principal, _ context: APIContext) -> UserChanges {
        UserChanges(authority: UserAuthority(asker), entry: AuditEntry("user.update", by: context))
    }
}
