import Bus
import Database
import DomainService
import Downloads
import Events
import ForeignMessages
import Foundation
import HTTPTypes
import Logging
import Metrics
import ServiceKit
import ServiceLifecycle

/// Compares, every five seconds, what a media server's statistics show with what its hooks have said: finds what they failed to say,
/// and measures the streams.
actor MediaWatch {
    /// What can be said of a server.
    struct Report: Sendable {
        /// `nil`: it was not asked yet.
        var answeredAt: Timestamp?
        /// Why it is not known what happens there; `nil`: it is.
        var problem: String?
        /// What its hooks failed to say since this process started.
        var adopted = 0
        var ended = 0
        var publishers = 0
        var players = 0
    }

    private struct Reading {
        var bytes: Int64
        var frames: Int64?
        var time: ContinuousClock.Instant
    }

    let server: MediaServer
    private let ingest: Ingest
    private let publish: @Sendable (StreamHealth, String) async -> Void
    private let unknownMax: Duration
    private let logger: Logger
    private(set) var report = Report()

    private var failures = 0
    /// Since when it is asked without a pause.
    private var askedSince: Timestamp?
    /// How often each was not there in a row.
    private var misses: [Int64: Int] = [:]
    /// Who was seen by a server whose database could not be told.
    private var seen: [MediaSession.Key: Timestamp] = [:]
    private var readings: [MediaSession.Key: Reading] = [:]

    static let interval = Duration.seconds(5)
    /// One blank page ends nothing, and one that does not come does not make it unknown.
    private static let missesMax = 2
    /// Its hook may be on the way.
    private static let hookDelay = Duration.seconds(2)
    private static let bytesMax = 32 << 20

    /// - Parameters:
    ///   - unknownMax: how long a server may not answer until whatever was there counts as ended.
    ///   - publish: is given each measurement and the stream's tenant.
    init(
        _ server: MediaServer, _ ingest: Ingest, unknownMax: Duration, logger: Logger,
        publish: @escaping @Sendable (StreamHealth, String) async -> Void
    ) {
        self.server = server
        self.ingest = ingest
        self.unknownMax = unknownMax
        self.logger = logger
        self.publish = publish
    }

    /// Whether it is known what happens there.
    var isUnknown: Bool { self.report.problem != nil }

    /// It is not asked for now: another process does.
    func rest() {
        self.askedSince = nil
        self.report.answeredAt = nil
        self.report.problem = nil
        self.failures = 0
    }

    /// Once; `statistics` is where it is asked.
    func compare(_ statistics: URL) async {
        let moment = Timestamp.now
        self.askedSince = self.askedSince ?? moment
        let snapshot: MediaSnapshot
        do {
            snapshot = try await self.server.adapter.snapshot(from: statistics) { url, accept in
                try await HTTPDownload.document(
                    from: url, accept: accept, bytesMax: Self.bytesMax, redirects: .onServer, within: .seconds(4)
                ).bytes
            }
        } catch {
            return await self.missed(error)
        }
        if self.report.problem != nil {
            self.logger.notice("Media server answers", metadata: ["media.server": "\(self.server.name)"])
        }
        self.failures = 0
        self.report.answeredAt = moment
        self.report.problem = nil
        self.report.publishers = snapshot.publishers.count
        self.report.players = snapshot.players.count
        do {
            try await self.apply(snapshot, at: moment)
        } catch {
            // What was seen is told when the database is there again.
            for key in Self.keys(of: snapshot) { self.seen[key] = moment }
            self.logger.debug("Statistics were not compared", metadata: ["error": "\(error)"])
        }
    }

    private static func keys(of snapshot: MediaSnapshot) -> Set<MediaSession.Key> {
        Set(
            snapshot.publishers.map { MediaSession.Key(role: .publish, session: $0.session, name: $0.name) }
                + snapshot.players.map { MediaSession.Key(role: .play, session: $0.session, name: $0.name) })
    }

    // MARK: unknown

    private func missed(_ error: any Error) async {
        self.failures += 1
        guard self.failures >= Self.missesMax else { return }
        if self.report.problem == nil {
            self.logger.warning(
                "Media server does not answer",
                metadata: ["media.server": "\(self.server.name)", "error": "\(error)"])
        }
        self.report.problem = "\(error)"
        guard Timestamp.now - (self.report.answeredAt ?? self.askedSince ?? .now) > self.unknownMax else { return }
        do {
            let ingest = self.ingest
            let open = try await ingest.open(at: self.server.name).map { ($0, self.lastSeen($0)) }
            _ = try await open.mapConcurrently { session, last in
                try await ingest.end(session, at: last, by: .silence)
            }
            self.report.ended += open.count
        } catch {
            self.logger.debug("Media sessions were not ended", metadata: ["error": "\(error)"])
        }
    }

    private func lastSeen(_ session: MediaSession) -> Timestamp {
        max(session.seenAt, self.seen[session.key] ?? session.seenAt)
    }

    // MARK: comparing

    private func apply(_ snapshot: MediaSnapshot, at moment: Timestamp) async throws {
        let there = Self.keys(of: snapshot)
        let open = try await self.ingest.open(at: self.server.name)
        var known: [MediaSession.Key: MediaSession] = [:]
        for session in open { known[session.key] = session }

        try await self.ingest.see(open.filter { there.contains($0.key) }.map(\.id), at: moment)
        try await self.end(open.filter { !there.contains($0.key) }, at: moment)
        self.report.adopted += try await self.adopt(snapshot, beyond: known, at: moment)
        // Of the others it is the last that is known, until they count as gone.
        self.seen = self.seen.filter { known[$0.key] != nil && !there.contains($0.key) }
        let live = try await self.ingest.live(among: Set(open.compactMap(\.stream)))
        try await self.rejoin(open.filter { there.contains($0.key) }, live)
        await self.measure(snapshot, known, live)
    }

    /// Ends those that were not there twice.
    private func end(_ absent: [MediaSession], at moment: Timestamp) async throws {
        var gone: [MediaSession] = []
        var misses: [Int64: Int] = [:]
        for session in absent where moment - session.startedAt > Self.hookDelay {
            let count = (self.misses[session.id] ?? 0) + 1
            if count >= Self.missesMax { gone.append(session) } else { misses[session.id] = count }
        }
        self.misses = misses
        let (ingest, log) = (self.ingest, gone.isEmpty ? nil : self.server.log.map { MediaLog(path: $0) })
        _ = try await gone.map { ($0, self.lastSeen($0)) }.mapConcurrently { session, last in
            let end = log?.end(of: session.key, after: last)
            try await ingest.end(session, at: end ?? last, by: end == nil ? .statistics : .log)
        }
        self.report.ended += gone.count
        self.count(gone.count, "ended")
    }

    /// Takes in those of whom no hook has told. Of a stream that is not ours there is nothing to tell.
    private func adopt(
        _ snapshot: MediaSnapshot, beyond known: [MediaSession.Key: MediaSession], at moment: Timestamp
    ) async throws -> Int {
        var beginnings: [MediaBeginning] = []
        func consider(_ key: MediaSession.Key, _ start: Timestamp?, _ address: String?, _ agent: String?) {
            guard known[key] == nil, Stream.isID(key.name), Self.isSound([key.session, address ?? "", agent ?? ""])
            else { return }
            if let start, moment - start < Self.hookDelay { return }
            beginnings.append(
                MediaBeginning(
                    server: self.server.name, key: key, at: start ?? moment, by: .statistics, asOf: moment,
                    address: address, agent: agent))
        }
        for one in snapshot.publishers {
            consider(.init(role: .publish, session: one.session, name: one.name), one.startedAt, one.address, one.agent)
        }
        for one in snapshot.players {
            consider(.init(role: .play, session: one.session, name: one.name), one.startedAt, one.address, one.agent)
        }
        let (ingest, server, logger) = (self.ingest, self.server, self.logger)
        let found = try await beginnings.mapConcurrently { beginning in
            do {
                return beginning.key.role == .publish
                    ? try await ingest.publish(beginning, by: nil, at: server)
                    : try await ingest.play(beginning, at: server)
            } catch let failure as APIFailure where failure.status == .notFound {
                return false
            } catch DatabaseError.query(let state, let message) {
                // One that Postgres refuses keeps the others from nothing.
                logger.warning("A session was not taken in", metadata: ["database.error": "\(state) \(message)"])
                return false
            }
        }
        let count = found.count { $0 }
        self.count(count, "adopted")
        return count
    }

    /// Whether Postgres can store and find them.
    private static func isSound(_ texts: [String]) -> Bool {
        texts.allSatisfy { $0.utf8.count <= 200 && !$0.utf8.contains(0) }
    }

    private func rejoin(_ sessions: [MediaSession], _ live: [String: String]) async throws {
        let waiting = sessions.filter { session in
            session.key.role == .play
                && (session.viewer == nil || session.stream.map { live[$0] == nil } ?? true)
        }
        let ingest = self.ingest
        _ = try await waiting.mapConcurrently { try await ingest.rejoin($0) }
    }

    private func count(_ number: Int, _ what: String) {
        guard number > 0 else { return }
        Counter(label: "media_sessions_repaired_total", dimensions: [("what", what)]).increment(by: number)
        self.logger.info(
            "What hooks did not say was found",
            metadata: ["media.server": "\(self.server.name)", "media.\(what)": "\(number)"])
    }

    // MARK: measuring

    private func measure(
        _ snapshot: MediaSnapshot, _ known: [MediaSession.Key: MediaSession], _ live: [String: String]
    ) async {
        let now = ContinuousClock.now
        var readings: [MediaSession.Key: Reading] = [:]
        for publisher in snapshot.publishers {
            let key = MediaSession.Key(role: .publish, session: publisher.session, name: publisher.name)
            let reading = Reading(bytes: publisher.bytes, frames: publisher.frames, time: now)
            readings[key] = reading
            guard let stream = known[key]?.stream, let tenant = live[stream] else { continue }
            let health = Self.health(
                of: stream, from: self.readings[key].map { ($0.bytes, $0.frames, (now - $0.time) / .seconds(1)) },
                to: (reading.bytes, reading.frames), fps: publisher.fps)
            await self.publish(health, tenant)
        }
        self.readings = readings
    }

    /// - Parameter last: the counters of so many seconds ago; `nil`: there is nothing to compare with.
    static func health(
        of stream: String, from last: (bytes: Int64, frames: Int64?, seconds: Double)?,
        to now: (bytes: Int64, frames: Int64?), fps: Double?
    ) -> StreamHealth {
        var health = StreamHealth(streamID: stream, bitrate: nil, fps: fps, packetLoss: nil, latency: nil)
        guard let last, last.seconds > 0, let bytes = now.bytes.increase(since: last.bytes) else { return health }
        health.bitrate = (Double(bytes) * 8 / 1000 / last.seconds * 10).rounded() / 10
        if let earlier = last.frames, let frames = now.frames?.increase(since: earlier) {
            health.fps = (Double(frames) / last.seconds * 10).rounded() / 10
        }
        return health
    }
}
