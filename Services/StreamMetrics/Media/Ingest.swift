import Access
import Database
import DomainService
import Events
import ForeignMessages
import HTTPTypes
import Logging
import ServiceKit
import ServiceLifecycle

/// Streams and viewers as media servers know them. What a server says is stored before it is answered; said twice or in the wrong
/// order, it comes to the same.
struct Ingest: Sendable {
    private let database: Database
    private let writer: EventWriter
    private let streams: Streams
    private let countries: Countries?
    private let logger: Logger
    /// How long after its encoder has gone a stream waits for it.
    private let grace: Duration

    /// What ended is kept as long, for hooks that come late and for who looks into it.
    private static let retention = Duration.seconds(2 * 86_400)
    static let encoderPrefix = "media:"

    init(_ service: DomainService, _ streams: Streams, countries: Countries?, grace: Duration) {
        self.database = service.database
        self.writer = service.writer
        self.logger = service.logger
        self.streams = streams
        self.countries = countries
        self.grace = grace
    }

    // MARK: who publishes

    /// Whether a credential may publish under a name. Throws 403 when it may publish nothing, 404 when its tenant has no such stream, 402
    /// when as many are live as its plan allows.
    func authorize(_ principal: Principal, name: String) async throws {
        try Self.requirePublisher(principal)
        try await self.writer.write { mutation in
            guard let stream = try await Self.newest(name, in: mutation) else { throw Streams.notFound(name) }
            try Self.authorize(principal, stream, named: name)
            if stream.status != .live {
                try await Streams.requireRoom(for: stream, max: principal.tier.liveStreamsMax, in: mutation)
            }
        }
    }

    /// Throws 403 for a key that can publish no stream at all, before one is looked up: it must not learn which there are.
    private static func requirePublisher(_ principal: Principal) throws(APIFailure) {
        guard principal.permitsSomewhere(.streamsWrite) else {
            throw APIFailure(.forbidden, "The key may not publish streams")
        }
    }

    /// A key for a stream is one for those that follow it under its name, too. Another tenant's stream is as one that does not exist.
    private static func authorize(_ principal: Principal, _ stream: Stream, named name: String) throws(APIFailure) {
        guard principal.tenant == stream.tenant else { throw Streams.notFound(name) }
        let rooms = [stream.id, stream.origin].compactMap(\.self).map(Room.stream)
        guard rooms.contains(where: { principal.permits(.streamsWrite, on: $0) }) else {
            throw APIFailure(.forbidden, "The key may not publish this stream")
        }
    }

    /// A publisher begins; with the first one its stream goes live.
    /// - Parameters:
    ///   - principal: who publishes; `nil`: the server has asked before.
    /// - Returns: whether it was news.
    @discardableResult
    func publish(
        _ beginning: MediaBeginning, by principal: Principal?, at server: MediaServer
    ) async throws -> Bool {
        let isUnique = server.adapter.hasUniqueSessions
        if let principal { try Self.requirePublisher(principal) }
        return try await self.writer.write { mutation in
            guard var stream = try await Self.newest(beginning.key.name, in: mutation) else {
                throw Streams.notFound(beginning.key.name)
            }
            if let principal { try Self.authorize(principal, stream, named: beginning.key.name) }
            // One whose end came first was live until then, and is over.
            let over = try await Self.endBefore(beginning, isUnique: isUnique, in: mutation)
            if over == nil, try await Self.isRepeated(beginning, isUnique: isUnique, in: mutation) {
                guard beginning.by == .hook, !isUnique, try await Self.endStale(beginning, .sameID, in: mutation) else {
                    return false
                }
            }
            // A server that can be asked says by itself who is not there any more.
            if beginning.by == .hook, over == nil, server.statistics == nil {
                try await Self.endStale(beginning, .sameName, in: mutation)
            }
            if !stream.status.canStart, !stream.status.canStop {
                stream = try await Streams.insertSuccessor(of: stream, in: mutation)
            }
            if stream.status.canStart {
                stream = try await self.streams.start(
                    stream, at: over?.endedAt ?? beginning.at, encoder: Self.encoderPrefix + beginning.server,
                    liveMax: principal?.tier.liveStreamsMax, in: mutation)
            }
            if let over {
                _ = try await mutation.query("UPDATE media_sessions SET stream = \(stream.id) WHERE id = \(over.id)")
            } else {
                try await Self.insert(beginning, stream: stream.id, viewer: nil, in: mutation)
            }
            return true
        }
    }

    /// The stream that a server's name means now: the one of that id, or the last that followed it.
    static func newest(_ name: String, in mutation: Mutation) async throws -> Stream? {
        guard Stream.isID(name) else { return nil }
        return try await mutation.query(
            "SELECT * FROM streams WHERE id = \(name) OR origin = \(name) ORDER BY id DESC LIMIT 1"
        ).first.map { row throws(DatabaseError) in try Stream(row) }
    }

    // MARK: who plays

    /// A player begins. It is one of the audience as soon as its stream is live.
    @discardableResult
    func play(_ beginning: MediaBeginning, at server: MediaServer) async throws -> Bool {
        let isUnique = server.adapter.hasUniqueSessions
        return try await self.writer.write { mutation in
            // What else is played there is none of ours.
            guard let stream = try await Self.newest(beginning.key.name, in: mutation),
                try await !Self.isRepeated(beginning, isUnique: isUnique, in: mutation)
            else { return false }
            let viewer = stream.status == .live ? try await self.join(stream, beginning, in: mutation) : nil
            try await Self.insert(beginning, stream: stream.id, viewer: viewer, in: mutation)
            return true
        }
    }

    /// A player that has waited, or stayed on, is one of the audience of the stream that is live now.
    func rejoin(_ session: MediaSession) async throws {
        try await self.writer.write { mutation in
            guard let stream = try await Self.newest(session.key.name, in: mutation), stream.status == .live,
                session.stream != stream.id || session.viewer == nil,
                let row = try await mutation.query(
                    "SELECT address, agent FROM media_sessions WHERE id = \(session.id) AND ended_at IS NULL"
                ).first
            else { return }
            let beginning = MediaBeginning(
                server: session.server, key: session.key, at: .now, by: .statistics, asOf: .now,
                address: try row.decode("address"), agent: try row.decode("agent"))
            let viewer = try await self.join(stream, beginning, in: mutation)
            _ = try await mutation.query(
                "UPDATE media_sessions SET stream = \(stream.id), viewer = \(viewer) WHERE id = \(session.id)")
        }
    }

    private func join(_ stream: Stream, _ beginning: MediaBeginning, in mutation: Mutation) async throws -> String {
        let draft = ViewerDraft(
            country: beginning.address.flatMap { self.countries?.country(of: $0) },
            device: beginning.agent.map { Device(agent: $0) } ?? .other)
        return try await Viewers.join(stream, draft, at: beginning.at, in: mutation)
    }

    // MARK: ends

    /// Somebody is gone, whom a hook names. Of one that has not begun yet it is kept in mind.
    func end(_ key: MediaSession.Key, at server: MediaServer, _ moment: Timestamp) async throws {
        guard Stream.isID(key.name) else { return }
        try await self.writer.write { mutation in
            let rows = try await mutation.query(
                """
                SELECT * FROM media_sessions WHERE server = \(server.name) AND role = \(key.role.rawValue)
                    AND session = \(key.session) AND name = \(key.name) AND ended_at IS NULL
                """)
            if let row = rows.first {
                return try await Self.end(try MediaSession(row), at: moment, by: .hook, in: mutation)
            }
            let beginning = MediaBeginning(server: server.name, key: key, at: moment, by: .hook, asOf: moment)
            guard
                try await !Self.isRepeated(
                    beginning, isUnique: server.adapter.hasUniqueSessions, in: mutation)
            else { return }
            _ = try await mutation.query(
                """
                INSERT INTO media_sessions (server, role, session, name, started_at, started_by, seen_at, ended_at, ended_by)
                VALUES (\(server.name), \(key.role.rawValue), \(key.session), \(key.name), \(moment), 'hook', \(moment), \(moment), 'hook')
                """)
        }
    }

    /// Somebody is gone, as something other than a hook says. One whose end is known already stays as it is.
    func end(_ session: MediaSession, at moment: Timestamp, by source: MediaSession.Source) async throws {
        try await self.writer.write { mutation in
            try await Self.end(session, at: moment, by: source, in: mutation)
        }
    }

    static func end(
        _ session: MediaSession, at moment: Timestamp, by source: MediaSession.Source, in mutation: Mutation
    ) async throws {
        let moment = max(moment, session.startedAt)
        let ended = try await mutation.query(
            """
            UPDATE media_sessions SET ended_at = \(moment), ended_by = \(source.rawValue)
            WHERE id = \(session.id) AND ended_at IS NULL RETURNING stream, viewer
            """
        ).first
        guard let ended, let viewer: String = try ended.decode("viewer"),
            let id: String = try ended.decode("stream"),
            let row = try await mutation.query("SELECT * FROM streams WHERE id = \(id)").first
        else { return }
        try await Viewers.leave(try Stream(row), viewer, at: moment, in: mutation)
    }

    /// It goes on.
    func note(_ key: MediaSession.Key, at server: String, _ moment: Timestamp) async throws {
        // Statistics have just said the same.
        let recently = moment - .seconds(4)
        try await self.writer.write { mutation in
            _ = try await mutation.query(
                """
                UPDATE media_sessions SET seen_at = \(moment)
                WHERE server = \(server) AND role = \(key.role.rawValue) AND session = \(key.session) AND name = \(key.name)
                    AND ended_at IS NULL AND seen_at < \(recently)
                """)
        }
    }

    /// A recording of whatever was live under a name.
    func record(_ path: String, name: String, server: String, at moment: Timestamp) async throws {
        try await self.writer.write { mutation in
            guard let stream = try await Self.newest(name, in: mutation) else { return }
            try await Recordings.add(path, of: stream, server: server, at: moment, in: mutation)
        }
    }

    /// Ends the streams whose encoders have been gone for as long as they are waited for.
    var settling: any Service {
        PeriodicDuty(every: .seconds(1)) {
            guard self.writer.isActive else { return }
            let latest = Timestamp.now - self.grace
            do {
                let streams: [String] = try await self.database.query(
                    """
                    SELECT DISTINCT stream FROM media_sessions
                    WHERE role = 'publish' AND NOT settled AND ended_at < \(latest) AND stream IS NOT NULL LIMIT 1000
                    """
                ).map { row throws(DatabaseError) in try row.decode("stream") }
                _ = try await streams.mapConcurrently { try await self.settle($0, endedBefore: latest) }
            } catch {
                self.logger.info("Streams were not ended", metadata: ["error": "\(error)"])
            }
        }
    }

    private func settle(_ id: String, endedBefore latest: Timestamp) async throws {
        try await self.writer.write { mutation in
            let ended = try await mutation.query(
                """
                UPDATE media_sessions SET settled = true
                WHERE stream = \(id) AND role = 'publish' AND NOT settled AND ended_at < \(latest) RETURNING ended_at
                """
            ).map { row throws(DatabaseError) -> Timestamp in try row.decode("ended_at") }
            let others = try await mutation.query(
                """
                SELECT FROM media_sessions WHERE stream = \(id) AND role = 'publish'
                    AND (ended_at IS NULL OR NOT settled) LIMIT 1
                """)
            guard others.isEmpty, let moment = ended.max(),
                let row = try await mutation.query("SELECT * FROM streams WHERE id = \(id)").first
            else { return }
            let stream = try Stream(row)
            // One that was started by hand is ended by hand.
            guard stream.status.canStop, stream.encoder?.hasPrefix(Self.encoderPrefix) == true else { return }
            _ = try await self.streams.stop(stream, at: moment, in: mutation)
        }
    }

    // MARK: what is open

    func open(at server: String) async throws -> [MediaSession] {
        try await self.database.query("SELECT * FROM media_sessions WHERE server = \(server) AND ended_at IS NULL")
            .map { row throws(DatabaseError) in try MediaSession(row) }
    }

    /// Which of the streams are live.
    func live(among streams: Set<String>) async throws -> [String: String] {
        guard !streams.isEmpty else { return [:] }
        var live: [String: String] = [:]
        for row in try await self.database.query(
            "SELECT id, tenant FROM streams WHERE id = ANY(\(Array(streams))) AND status = 'live'")
        { live[try row.decode("id")] = try row.decode("tenant", as: String.self) }
        return live
    }

    /// They were there at that moment.
    func see(_ sessions: [Int64], at moment: Timestamp) async throws {
        guard !sessions.isEmpty else { return }
        try await self.writer.write { mutation in
            _ = try await mutation.query(
                "UPDATE media_sessions SET seen_at = \(moment) WHERE id = ANY(\(sessions)) AND seen_at < \(moment)")
        }
    }

    /// Forgets what ended long ago, a piece at a time, and ends what was at servers that are ours no longer.
    func cleaning(servers: [String]) -> any Service {
        PeriodicDuty(every: .seconds(60)) {
            guard self.writer.isActive else { return }
            do {
                try await self.endForeign(servers)
                while try await self.clean() > 0 {}
            } catch {
                self.logger.info("Old media sessions were not deleted", metadata: ["error": "\(error)"])
            }
        }
    }

    private func endForeign(_ servers: [String]) async throws {
        let sessions = try await self.database.query(
            "SELECT * FROM media_sessions WHERE ended_at IS NULL AND server <> ALL(\(servers))"
        ).map { row throws(DatabaseError) in try MediaSession(row) }
        _ = try await sessions.mapConcurrently { try await self.end($0, at: $0.seenAt, by: .silence) }
    }

    /// Publishers of a stream that is live are kept, for its end.
    private func clean() async throws -> Int {
        let oldest = Timestamp.now - Self.retention
        return try await self.writer.write { mutation in
            try await mutation.query(
                """
                DELETE FROM media_sessions WHERE ctid = ANY(ARRAY(
                    SELECT media_sessions.ctid FROM media_sessions LEFT JOIN streams ON streams.id = stream
                    WHERE media_sessions.ended_at < \(oldest) AND (role = 'play' OR status IS DISTINCT FROM 'live') LIMIT 5000))
                RETURNING id
                """
            ).count
        }
    }

    private static func insert(
        _ beginning: MediaBeginning, stream: String, viewer: String?, in mutation: Mutation
    ) async throws {
        let key = beginning.key
        _ = try await mutation.query(
            """
            INSERT INTO media_sessions
                (server, role, session, name, stream, viewer, address, agent, started_at, started_by, seen_at)
            VALUES (\(beginning.server), \(key.role.rawValue), \(key.session), \(key.name), \(stream), \(viewer),
                \(beginning.address), \(beginning.agent), \(beginning.at), \(beginning.by.rawValue), \(beginning.at))
            """)
    }
}
