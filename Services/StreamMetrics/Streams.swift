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
            try await Self.insert(stream, in: mutation)
            return stream
        }
    }

    private static func insert(_ stream: Stream, in mutation: Mutation) async throws {
        _ = try await mutation.query(
            """
            INSERT INTO streams
                (id, tenant, title, description, protocol, status, recording, transcoding, created_at, updated_at, origin)
            VALUES (\(stream.id), \(stream.tenant), \(stream.title), \(stream.description),
                \(stream.protocol.rawValue), \(stream.status.rawValue), \(stream.recording), \(stream.transcoding),
                \(stream.createdAt), \(stream.updatedAt), \(stream.origin))
            """)
    }

    /// The streams that the principal is not kept from, newest first, after the one with the id `cursor`.
    func list(for principal: Principal, limit: Int, cursor: String?) async throws -> [Stream] {
        let listed = principal.limits.map { $0.streams?.sorted() ?? [] }
        return try await self.database.query(
            """
            SELECT * FROM streams WHERE tenant = \(principal.tenant) AND (\(cursor)::text IS NULL OR id < \(cursor)::text)
                AND (\(listed)::text[] IS NULL OR id = ANY (\(listed)::text[]))
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
            let publishers = try await mutation.query(
                "SELECT FROM media_sessions WHERE stream = \(id) AND role = 'publish' AND ended_at IS NULL LIMIT 1")
            guard publishers.isEmpty else { throw Self.conflict(stream, "Its encoder still publishes") }
            self.cache.forget(id)
            _ = try await mutation.query("DELETE FROM chat_messages WHERE stream = \(id)")
            _ = try await mutation.query("DELETE FROM streams WHERE id = \(id)")
        }
    }

    /// Goes live, and with the first of the tenant's streams so does its channel.
    /// - Parameters:
    ///   - moment: when it did.
    ///   - encoder: whose output it is.
    ///   - liveMax: how many may be live then; `nil`: any number. Throws 402 beyond.
    func start(
        _ id: String, tenant: String, at moment: Timestamp = .now, encoder: String? = nil, liveMax: Int? = nil
    ) async throws -> Stream {
        try await self.writer.write { mutation in
            let stream = try await Self.get(id, tenant, in: mutation)
            return try await self.start(stream, at: moment, encoder: encoder, liveMax: liveMax, in: mutation)
        }
    }

    /// The same, in a mutation that does more.
    func start(
        _ stream: Stream, at moment: Timestamp, encoder: String?, liveMax: Int?, in mutation: Mutation
    ) async throws -> Stream {
        var stream = stream
        guard stream.status.canStart else {
            throw Self.conflict(stream, "Only an idle stream can be started; this one is \(stream.status.rawValue)")
        }
        try await Self.requireRoom(for: stream, max: liveMax, in: mutation)
        let isFirst = try await Self.liveCount(stream.tenant, upTo: 1, in: mutation) == 0
        stream.status = .live
        stream.startedAt = moment
        stream.updatedAt = .now
        stream.encoder = encoder
        try await self.store(stream, in: mutation)
        let ingest = self.media.ingestURL(of: stream.id, stream.protocol)
        let started = StreamStarted(
            streamID: stream.id, startedAt: moment, protocol: stream.protocol.rawValue, ingestEndpoint: ingest)
        mutation.emit(
            Event(started, tenant: stream.tenant, room: stream.id, publisher: .streamMetrics, time: moment))
        if isFirst {
            mutation.emit(Self.status(isLive: true, stream.tenant, moment))
            try await Sessions.goesLive(stream.tenant, at: moment, in: mutation)
        }
        return stream
    }

    static let planExceeded = HTTPResponse.Status(code: 402, reasonPhrase: "Payment Required")

    /// Throws 402 when as many of the tenant's streams are live as its plan allows.
    static func requireRoom(for stream: Stream, max: Int?, in mutation: Mutation) async throws {
        guard let max, try await Self.liveCount(stream.tenant, upTo: max, in: mutation) >= max else { return }
        throw APIFailure(
            Self.planExceeded, "The plan allows \(max) live streams at once",
            details: ["stream_id": stream.id, "limit": String(max)])
    }

    /// Ends, and with the last of the tenant's live streams so does its channel. Whoever still watches leaves before.
    func stop(_ id: String, tenant: String) async throws -> Stream {
        try await self.writer.write { mutation in
            try await self.stop(try await Self.get(id, tenant, in: mutation), at: .now, in: mutation)
        }
    }

    /// The same, in a mutation that does more.
    /// - Parameter moment: when it did; no sooner than it began.
    func stop(_ stream: Stream, at moment: Timestamp, in mutation: Mutation) async throws -> Stream {
        var stream = stream
        guard stream.status.canStop, let startedAt = stream.startedAt else {
            throw Self.conflict(stream, "Only a live stream can be stopped; this one is \(stream.status.rawValue)")
        }
        let moment = max(startedAt, moment)
        stream.status = .ended
        stream.endedAt = moment
        stream.updatedAt = .now
        try await Viewers.leave(stream, at: moment, in: mutation)
        try await self.store(stream, in: mutation)
        let recording = try await Recordings.last(of: stream.id, in: mutation)
        let ended = StreamEnded(
            streamID: stream.id, endedAt: moment, duration: moment - startedAt, recordingID: recording)
        mutation.emit(Event(ended, tenant: stream.tenant, room: stream.id, publisher: .streamMetrics, time: moment))
        if try await Self.liveCount(stream.tenant, upTo: 1, in: mutation) == 0 {
            mutation.emit(Self.status(isLive: false, stream.tenant, moment))
            try await Sessions.goesOffline(stream.tenant, at: moment, in: mutation)
        }
        return stream
    }

    /// The stream that follows, for an encoder that goes live again: a new one of the same kind, unless there is one already.
    func createSuccessor(of stream: Stream) async throws -> Stream {
        try await self.writer.write { mutation in
            if let last = try await Ingest.newest(stream.origin ?? stream.id, in: mutation),
                last.status.canStart || last.status.canStop
            {
                return last
            }
            return try await Self.insertSuccessor(of: stream, in: mutation)
        }
    }

    /// A new stream of the same kind.
    static func insertSuccessor(of stream: Stream, in mutation: Mutation) async throws -> Stream {
        let successor = Stream(after: stream, at: .now)
        try await Self.insert(successor, in: mutation)
        return successor
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
                updated_at = \(stream.updatedAt), encoder = \(stream.encoder) WHERE id = \(stream.id)
            """)
    }

    /// The tenant's stream, in a mutation that goes on to change it or something of it.
    static func get(_ id: String, _ tenant: String, in mutation: Mutation) async throws -> Stream {
        guard Stream.isID(id),
            let row = try await mutation.query("SELECT * FROM streams WHERE id = \(id) AND tenant = \(tenant)").first
        else { throw Self.notFound(id) }
        return try Stream(row)
    }

    /// How many of the tenant's streams are live, but no more than `max`.
    private static func liveCount(_ tenant: String, upTo max: Int, in mutation: Mutation) async throws -> Int {
        let rows = try await mutation.query(
            """
            SELECT count(*) AS live FROM (
                SELECT FROM streams WHERE tenant = \(tenant) AND status = 'live' LIMIT \(max)) AS found
            """)
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
