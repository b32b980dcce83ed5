import Access
import Database
import Events
import HTTPTypes
import Hummingbird
import ServiceKit

extension DomainService {
    /// `GET /v1/events?type=…&room=…&from=…&to=…&after=…&limit=…`: the durable log, oldest first, what the principal may see of it.
    /// `type` may be given several times; `after` is the `seq` to go on from, the `next` of the page before.
    func addEventsRoute() {
        let log = self.log
        self.router.get("/v1/events") { request, context in
            let principal = try context.requirePrincipal()
            let filter = try EventFilter(request.uri.queryParameters, tenant: principal.tenant)
            let page = try await Self.page(of: log, matching: filter)
            let visible = page.events.filter { event in
                Catalogue.byType[event.type].map { principal.maySee($0, room: event.room) } ?? false
            }
            var body = Array("{\"events\":[".utf8)
            for (index, event) in visible.enumerated() {
                if index > 0 { body.append(UInt8(ascii: ",")) }
                body.append(contentsOf: event.listing)
            }
            body.append(contentsOf: "],\"next\":\(page.next.map { "\($0)" } ?? "null")}".utf8)
            return Response.json(bytes: body)
        }
    }

    private static func page(of log: EventLog, matching filter: EventFilter) async throws -> EventLog.Page {
        do throws(DatabaseError) {
            return try await log.page(matching: filter)
        } catch {
            guard error.isUnavailable else { throw error }
            throw APIFailure.unavailable(
                error.isTimeout
                    ? "Reading the log took too long; try again, or with a smaller limit"
                    : "The log cannot be read at the moment; try again soon")
        }
    }
}

extension EventFilter {
    init(_ query: Parameters, tenant: String) throws(APIFailure) {
        func moment(_ name: String) throws(APIFailure) -> Timestamp? {
            guard let text = query[name[...]] else { return nil }
            guard let moment = Timestamp(iso8601: String(text)) else {
                throw APIFailure(.badRequest, "\(name) must be an ISO 8601 time")
            }
            return moment
        }
        func number(_ name: String, _ range: ClosedRange<Int>, default value: Int) throws(APIFailure) -> Int {
            guard let text = query[name[...]] else { return value }
            guard let number = Int(text), range.contains(number) else {
                throw APIFailure(.badRequest, "\(name) must be from \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
        // Postgres has no text with NUL.
        for name in ["type", "room"] where query.getAll(name).contains(where: { $0.utf8.contains(0) }) {
            throw APIFailure(.badRequest, "\(name) must not contain NUL characters")
        }
        self.init(
            tenant: tenant, types: query.getAll("type").map { EventType(String($0)) },
            room: query["room"].map(String.init),
            from: try moment("from"), to: try moment("to"), after: UInt64(try number("after", 0...Int.max, default: 0)),
            limit: try number("limit", 1...1000, default: 100))
    }
}

extension Event {
    /// One entry of `GET /v1/events`; the data is spliced in as it is.
    fileprivate var listing: [UInt8] {
        var bytes = Array("{\"id\":\"\(self.id)\",\"seq\":\(self.position?.seq ?? 0),\"type\":\"\(self.type)\"".utf8)
        bytes.append(contentsOf: ",\"room\":".utf8)
        bytes.append(contentsOf: JSON.string(self.room).bytes)
        bytes.append(contentsOf: ",\"time\":\"\(self.time.iso8601)\",\"data\":".utf8)
        bytes.append(contentsOf: self.data)
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }
}
