import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// The streams of all tenants: made, changed, started and stopped.
struct Streams: Sendable {
    private let database: Database
    private let writer: EventWriter
    private let cache: StreamCache
    let media: MediaEndpoints

    init(_ service: DomainService, cache: StreamCache, media: MediaEndpoints) {
        self.database = service.database
        self.writer = service.writer
        self.cache = cache
        self.media = media
    }

    func create(_ draft: StreamDraft, tenant: String) async throws -> Stream {
        let stream = Stream(draft, tenant: tenant, at: .now)
        return try await self.writer.write { mutation in
            _ = try await mutation.query(
                """
                INSERT INTO streams
                    (id, tenant, title, description, protocol, status, recording, transcoding, created_at, updated_at)
                VALUES (\(stream.id), \(tenant), \(stream.title), \(stream.description), \(stream.protocol.rawValue),
                    \(stream.status.rawValue), \(stream.recording), \(stream.transcoding), \(stream.createdAt), \(stream.updatedAt))
                """)
            return stream
        }
    }

    /// Newest first, after the one with the id `cursor`.
    func list(tenant: String, limit: Int, cursor: String?) async throws -> [Stream] {
        try await self.database.query(
            """
            SELECT * FROM streams WHERE tenant = \(tenant) AND (\(cursor)::text IS NULL OR id < \(cursor)::text)
            ORDER BY id DESC LIMIT \(limit)
            """
        ).map { row throws(DatabaseError) in try Stream(row) }
    }

    func get(_ id: String, tenant: String) async throws -> Stream {
        guard Stream.isID(id),
            let row = try await self.database.query("SELECT * FROM streams WHERE id = \(id) AND tenant = \(tenant)")
                .first
        else { throw Self.notFound(id) }
        return try Stream(row)
    }

    /// Answers `FindStream`.
    func find(_ command: FindStream) async throws -> FindStream.Answer {
        guard Stream.isID(command.stream),
            let row = try await self.database.query("SELECT tenant FROM streams WHERE id = \(command.stream)").first
        else { throw CommandFailure(.notFound, "There is no stream \(command.stream.prefix(100))") }
        return FindStream.Answer(id: command.stream, tenant: try row.decode("tenant"))
    }

    func change(_ id: String, _ patch: StreamPatch, tenant: String) async throws -> Stream {
        try await self.writer.write { mutation in
            let stream = patch.applied(to: try await Self.get(id, tenant, in: mutation), at: .now)
            guard stream.status.canChange else { throw Self.conflict(stream, "A live stream cannot be changed") }
            _ = try await mutation.query(
                """
                UPDATE streams SET title = \(stream.title), description = \(stream.description), recording = \(stream.recording),
                    updated_at = \(stream.updatedAt) WHERE id = \(id)
                """)
            return stream
        }
    }

    func delete(_ id: String, tenant: String) async throws {
        try await self.writer.write { mutation in
            let stream = try await Self.get(id, tenant, in: mutation)
            guard stream.status.canChange else { throw Self.conflict(stream, "A live stream cannot be deleted") }
            self.cache.forget(id)
            _ = try await mutation.query("DELETE FROM chat_messages WHERE stream = \(id)")
            _ = try await mutation.query("DELETE FROM streams WHERE id = \(id)")
        }
    }

    /// Goes live, and with the first of the tenant's streams so does its channel.
    func start(_ id: String, tenant: String) async throws -> Stream {
        try await self.writer.write { mutation in
            var stream = try await Self.get(id, tenant, in: mutation)
            guard stream.status.canStart else {
                throw Self.conflict(stream, "Only an idle stream can be started; this one is \(stream.status.rawValue)")
            }
            let isFirst = try await Self.liveCount(tenant, in: mutation) == 0
            let moment = Timestamp.now
            stream.status = .live
            stream.startedAt = moment
            stream.updatedAt = moment
            try await self.store(stream, in: mutation)
            let ingest = self.media.ingestURL(of: id, stream.protocol)
            let started = StreamStarted(
                streamID: id, startedAt: moment, protocol: stream.protocol.rawValue, ingestEndpoint: ingest)
            mutation.emit(Event(started, tenant: tenant, room: id, publisher: .streamMetrics, time: moment))
            if isFirst { mutation.emit(Self.status(isLive: true, tenant, moment)) }
            return stream
        }
    }

    /// Ends, and with the last of the tenant's live streams so does its channel. Whoever still watches leaves before.
    func stop(_ id: String, tenant: String) async throws -> Stream {
        try await self.writer.write { mutation in
            var stream = try await Self.get(id, tenant, in: mutation)
            guard stream.status.canStop, let startedAt = stream.startedAt else {
                throw Self.conflict(stream, "Only a live stream can be stopped; this one is \(stream.status.rawValue)")
            }
            let moment = Timestamp.now
            stream.status = .ended
            stream.endedAt = moment
            stream.updatedAt = moment
            try await Viewers.leave(stream, at: moment, in: mutation)
            try await self.store(stream, in: mutation)
            let ended = StreamEnded(streamID: id, endedAt: moment, duration: moment - startedAt, recordingID: nil)
            mutation.emit(Event(ended, tenant: tenant, room: id, publisher: .streamMetrics, time: moment))
            if try await Self.liveCount(tenant, in: mutation) == 0 {
                mutation.emit(Self.status(isLive: false, tenant, moment))
            }
            return stream
        }
    }

    /// For the process report; nothing while the database is away.
    func gauges() async -> [String: Double] {
        // `try?`: a report without the number says that it is not known.
        let rows = try? await self.database.query("SELECT count(*) AS live FROM streams WHERE status = 'live'")
        guard let live = try? rows?.first?.decode("live", as: Int.self) else { return [:] }
        return ["streams.live": Double(live)]
    }

    private func store(_ stream: Stream, in mutation: Mutation) async throws {
        self.cache.forget(stream.id)
        _ = try await mutation.query(
            """
            UPDATE streams SET status = \(stream.status.rawValue), started_at = \(stream.startedAt), ended_at = \(stream.endedAt),
                updated_at = \(stream.updatedAt) WHERE id = \(stream.id)
            """)
    }

    /// The tenant's stream, in a mutation that goes on to change it or something of it.
    static func get(_ id: String, _ tenant: String, in mutation: Mutation) async throws -> Stream {
        guard Stream.isID(id),
            let row = try await mutation.query("SELECT * FROM streams WHERE id = \(id) AND tenant = \(tenant)").first
        else { throw Self.notFound(id) }
        return try Stream(row)
    }

    private static func liveCount(_ tenant: String, in mutation: Mutation) async throws -> Int {
        let rows = try await mutation.query(
            "SELECT count(*) AS live FROM streams WHERE tenant = \(tenant) AND status = 'live'")
        return try rows.first?.decode("live") ?? 0
    }

    private static func status(isLive: Bool, _ tenant: String, _ moment: Timestamp) -> Event {
        Event(
            ChannelStreamStatus(isLive: isLive), tenant: tenant, room: tenant, publisher: .streamMetrics, time: moment)
    }

    static func notFound(_ id: String) -> APIFailure {
        APIFailure(.notFound, "There is no such stream", details: ["stream_id": String(id.prefix(100))])
    }

    static func conflict(_ stream: Stream, _ message: String) -> APIFailure {
        APIFailure(.conflict, message, details: ["stream_id": stream.id, "status": stream.status.rawValue])
    }
}
