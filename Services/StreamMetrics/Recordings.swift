import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// What media servers have recorded of streams.
struct Recordings: Sendable {
    struct Recording: Sendable {
        let id: String
        let stream: String
        let server: String
        /// As the server names it.
        let path: String
        let createdAt: Timestamp

        var json: JSON {
            [
                "id": .string(self.id), "stream_id": .string(self.stream), "server": .string(self.server),
                "path": .string(self.path), "created_at": .string(self.createdAt.iso8601),
            ]
        }

        /// `recording_` and a lower-case ULID.
        static func isID(_ text: some StringProtocol) -> Bool {
            text.hasPrefix("recording_") && text == text.lowercased() && ULID(text: text.dropFirst(10)) != nil
        }
    }

    private let database: Database

    init(_ service: DomainService) { self.database = service.database }

    /// Keeps one that is complete. One that is known already stays as it is.
    static func add(
        _ path: String, of stream: Stream, server: String, at moment: Timestamp, in mutation: Mutation
    ) async throws {
        let id = "recording_\(ULID(at: moment).text.lowercased())"
        _ = try await mutation.query(
            """
            INSERT INTO recordings (id, tenant, stream, server, path, created_at)
            VALUES (\(id), \(stream.tenant), \(stream.id), \(server), \(path), \(moment)) ON CONFLICT DO NOTHING
            """)
    }

    /// The id of a stream's newest one.
    static func last(of stream: String, in mutation: Mutation) async throws -> String? {
        try await mutation.query("SELECT id FROM recordings WHERE stream = \(stream) ORDER BY id DESC LIMIT 1").first?
            .decode("id")
    }

    /// Those of the streams that the principal is not kept from, newest first, after the one with the id `cursor`.
    /// - Parameter stream: only of that one.
    func list(for principal: Principal, stream: String?, limit: Int, cursor: String?) async throws -> [Recording] {
        let listed = principal.limits.map { $0.streams?.sorted() ?? [] }
        return try await self.database.query(
            """
            SELECT * FROM recordings WHERE tenant = \(principal.tenant)
                AND (\(listed)::text[] IS NULL OR stream = ANY (\(listed)::text[])) AND (\(stream)::text IS NULL OR stream = \(stream)::text)
                AND (\(cursor)::text IS NULL OR id < \(cursor)::text) ORDER BY id DESC LIMIT \(limit)
            """
        ).map { row throws(DatabaseError) in try Self.recording(row) }
    }

    func get(_ id: String, tenant: String) async throws -> Recording {
        guard Recording.isID(id),
            let row = try await self.database.query("SELECT * FROM recordings WHERE id = \(id) AND tenant = \(tenant)")
                .first
        else { throw Self.unknown }
        return try Self.recording(row)
    }

    static let unknown = APIFailure(.notFound, "There is no such recording")

    private static func recording(_ row: Row) throws(DatabaseError) -> Recording {
        Recording(
            id: try row.decode("id"), stream: try row.decode("stream"), server: try row.decode("server"),
            path: try row.decode("path"), createdAt: try row.decode("created_at"))
    }
}
