import Access
import Hummingbird
import ServiceKit

/// One page of a list (contract wave §10): what a request asks for, and how it is answered.
struct Page {
    /// Rows.
    let limit: Int
    /// The `next_cursor` of the page before: an id.
    let cursor: String?

    /// Throws 400.
    init(_ request: Request) throws(APIFailure) {
        let query = request.uri.queryParameters
        self.limit = query["limit"].map { Int($0) ?? 0 } ?? 20
        guard (1...100).contains(self.limit) else {
            throw APIFailure(.badRequest, "limit must be from 1 to 100", details: ["field": "limit"])
        }
        self.cursor = query["cursor"].map(String.init)
        guard self.cursor.map(Grant.isName) ?? true else {
            throw APIFailure(.badRequest, "cursor is not valid", details: ["field": "cursor"])
        }
    }

    /// - Parameter rows: as many as `limit`, and one more if there is another page.
    func answer<Row: Encodable>(_ rows: [Row], id: (Row) -> String) -> Response {
        let page = Array(rows.prefix(self.limit))
        let next = rows.count > self.limit ? page.last.map(id) : nil
        return Response.json(List(data: page, pagination: Pagination(next_cursor: next, has_more: next != nil)))
    }

    private struct List<Row: Encodable>: Encodable {
        let data: [Row]
        let pagination: Pagination
    }

    private struct Pagination: Encodable {
        let next_cursor: String?
        let has_more: Bool

        /// With `next_cursor` even where there is none (contract wave §10).
        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(self.next_cursor, forKey: .next_cursor)
            try container.encode(self.has_more, forKey: .has_more)
        }

        private enum CodingKeys: CodingKey { case next_cursor, has_more }
    }
}
