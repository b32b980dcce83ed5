import Access
import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

/// `GET /v1/auth/audit`: who did what, and who was refused, the newest first.
struct AuditAPI {
    let database: Database

    private static let filters: Set = [
        "action", "outcome", "actor", "credential", "target", "address", "tenant", "since", "until", "limit", "cursor",
    ]

    private struct Listed: Encodable {
        let id: String
        let time: String
        let action: String
        let outcome: String
        let tenant: String?
        let actor: String?
        let credential: String?
        let address: String?
        let target: String?
        let reason: String?
        let count: Int

        init(_ row: Row) throws(DatabaseError) {
            self.id = try row.decode("id")
            self.time = try row.decode("time", as: Timestamp.self).iso8601
            self.action = try row.decode("action")
            self.outcome = try row.decode("outcome")
            self.tenant = try row.decode("tenant")
            self.actor = try row.decode("actor")
            self.credential = try row.decode("credential")
            self.address = try row.decode("address")
            self.target = try row.decode("target")
            self.reason = try row.decode("reason")
            self.count = try row.decode("count")
        }
    }

    func add(to router: Router<APIContext>) {
        router.get("/v1/auth/audit") { request, context in try await self.list(request, context) }
    }

    private func list(_ request: Request, _ context: APIContext) async throws -> Response {
        let asker = try Self.asker(context)
        let page = try Page(request)
        let query = request.uri.queryParameters
        // A filter that is misspelt would show more than was asked for.
        if let unknown = query.map({ String($0.key) }).first(where: { !Self.filters.contains($0) }) {
            throw APIFailure(.badRequest, "There is no such filter", details: ["field": String(unknown.prefix(64))])
        }
        let tenant = try Self.tenant(query, asker)
        let (action, actor) = (try Self.text(query, "action"), try Self.text(query, "actor"))
        let credential = try Self.text(query, "credential")
        let (target, address) = (try Self.text(query, "target"), try Self.text(query, "address"))
        // Refusals have the network.
        let addresses = address.map { [$0, AttemptLimits.network(of: $0)] }
        let outcome = try Self.text(query, "outcome")
        guard outcome.map({ AuditEntry.Outcome(rawValue: $0) != nil }) ?? true else {
            throw Self.invalid("outcome", "must be done or refused")
        }
        let (since, until) = (try Self.moment(query, "since"), try Self.moment(query, "until"))
        let rows = try await self.database.query(
            """
            SELECT id, time, action, outcome, tenant, actor, credential, address, target, reason, count FROM audit
            WHERE (\(tenant)::text IS NULL OR tenant = \(tenant)) AND (\(action)::text IS NULL OR action = \(action))
                AND (\(outcome)::text IS NULL OR outcome = \(outcome)) AND (\(actor)::text IS NULL OR actor = \(actor))
                AND (\(credential)::text IS NULL OR credential = \(credential))
                AND (\(target)::text IS NULL OR target = \(target)) AND (\(addresses)::text[] IS NULL OR address = ANY (\(addresses)::text[]))
                AND (\(since)::timestamptz IS NULL OR time >= \(since)) AND (\(until)::timestamptz IS NULL OR time < \(until))
                AND (\(page.cursor)::text IS NULL OR id < \(page.cursor))
            ORDER BY id DESC LIMIT \(page.limit + 1)
            """)
        return page.answer(try rows.map { row throws(DatabaseError) in try Listed(row) }) { $0.id }
    }

    private static func asker(_ context: APIContext) throws(APIFailure) -> Principal {
        let asker = try context.requirePrincipal()
        // An entry does not say of which room it is.
        return asker.administersAuth ? asker : try context.require(.auditRead, on: .channel)
    }

    /// `nil`: all tenants, and what is no tenant's.
    private static func tenant(_ query: Parameters, _ asker: Principal) throws(APIFailure) -> String? {
        let isAdmin = asker.administersAuth
        guard let tenant = try Self.text(query, "tenant") else { return isAdmin ? nil : asker.tenant }
        guard isAdmin || tenant == asker.tenant else {
            throw APIFailure(.forbidden, "Another tenant needs the scope auth:admin", details: ["field": "tenant"])
        }
        return tenant
    }

    private static func invalid(_ field: String, _ reason: String) -> APIFailure {
        APIFailure(.badRequest, "\(field) \(reason)", details: ["field": field, "reason": reason])
    }

    private static func text(_ query: Parameters, _ name: String) throws(APIFailure) -> String? {
        guard let text = query[name[...]].map(String.init) else { return nil }
        guard (1...200).contains(text.utf8.count), !text.utf8.contains(0) else {
            throw Self.invalid(name, "must be 1 to 200 bytes without NUL")
        }
        return text
    }

    private static func moment(_ query: Parameters, _ name: String) throws(APIFailure) -> Timestamp? {
        guard let text = try Self.text(query, name) else { return nil }
        guard let moment = Timestamp(iso8601: text) else { throw Self.invalid(name, "must be an ISO 8601 time") }
        return moment
    }
}
