import Database
import DomainService
import Events
import Logging
import NIOConcurrencyHelpers
import ServiceKit
import ServiceLifecycle

/// Emojis of viewers: each one is counted, and the count is announced at most four times a second (contract wave §4).
struct Reactions: Sendable {
    private struct Key: Hashable, Sendable {
        let tenant: String
        let stream: String
        let reaction: String
    }

    private struct Announced: Sendable {
        var at: ContinuousClock.Instant
        /// Whether it was counted on since.
        var isDue = false
    }

    private let writer: EventWriter
    private let cache: StreamCache
    private let limit: SenderLimit
    private let logger: Logger
    private let announced = NIOLockedValueBox<[Key: Announced]>([:])

    private static let interval = Duration.milliseconds(250)

    init(_ service: DomainService, cache: StreamCache, limit: SenderLimit) {
        self.writer = service.writer
        self.cache = cache
        self.limit = limit
        self.logger = service.logger
    }

    /// Answers `SendReaction`, after the commit.
    func send(_ command: SendReaction) async throws -> SendReaction.Answer {
        let sender = command.sender
        guard sender.permits(.streamsRead, on: .stream(command.stream)) else {
            throw CommandFailure(.forbidden, "The scope streams:read is needed")
        }
        guard Self.isReaction(command.reaction) else {
            throw CommandFailure(.invalid, "reaction must be one emoji of at most 32 bytes")
        }
        try self.limit.take(sender)
        let (count, finding) = try await self.writer.write { mutation in
            let finding = try await self.cache.find(command.stream, in: mutation)
            guard finding.entry.tenant == sender.tenant else {
                throw CommandFailure(.forbidden, "The stream belongs to somebody else")
            }
            guard finding.entry.status.takesReactions else { throw CommandFailure(.conflict, "The stream is not live") }
            let key = Key(tenant: sender.tenant, stream: command.stream, reaction: command.reaction)
            let count = try await Self.count(key, in: mutation)
            if self.mayAnnounce(key) { mutation.emit(Self.event(key, count)) }
            return (count, finding)
        }
        self.cache.keep(finding, as: command.stream)
        return SendReaction.Answer(count: count)
    }

    /// One grapheme of at most 32 bytes that shows as an emoji.
    static func isReaction(_ text: String) -> Bool {
        guard text.count == 1, text.utf8.count <= 32 else { return false }
        return text.unicodeScalars.contains { scalar in
            // Digits and © count as emoji too; they show as one with the selector U+FE0F only.
            scalar.properties.isEmojiPresentation || scalar.value == 0xFE0F
                || scalar.properties.isEmoji && scalar.value >= 0x2190
        }
    }

    /// Announces what was counted since the last announcement.
    var announcing: any Service {
        PeriodicDuty(every: Self.interval) {
            for key in self.takeDue() {
                do {
                    try await self.writer.write { mutation in
                        let row = try await mutation.query(
                            "SELECT count FROM reactions WHERE stream = \(key.stream) AND reaction = \(key.reaction)"
                        ).first
                        // No row: the stream was deleted meanwhile.
                        if let count = try row?.decode("count", as: Int.self) { mutation.emit(Self.event(key, count)) }
                    }
                } catch {
                    self.logger.info("A reaction count was not announced", metadata: ["error": "\(error)"])
                }
            }
        }
    }

    private func mayAnnounce(_ key: Key) -> Bool {
        let now = ContinuousClock.now
        return self.announced.withLockedValue { announced in
            if let last = announced[key], now - last.at < Self.interval {
                announced[key]?.isDue = true
                return false
            }
            announced[key] = Announced(at: now)
            return true
        }
    }

    private func takeDue() -> [Key] {
        let now = ContinuousClock.now
        return self.announced.withLockedValue { announced in
            let late = announced.filter { now - $0.value.at >= Self.interval }
            var due: [Key] = []
            for (key, last) in late {
                announced[key] = last.isDue ? Announced(at: now) : nil
                if last.isDue { due.append(key) }
            }
            return due
        }
    }

    private static func count(_ key: Key, in mutation: Mutation) async throws -> Int {
        let rows = try await mutation.query(
            """
            INSERT INTO reactions (stream, reaction, tenant, count) VALUES (\(key.stream), \(key.reaction), \(key.tenant), 1)
            ON CONFLICT (stream, reaction) DO UPDATE SET count = reactions.count + 1 RETURNING count
            """)
        guard let row = rows.first else { throw DatabaseError.decoding("an upsert returned nothing") }
        return try row.decode("count")
    }

    private static func event(_ key: Key, _ count: Int) -> Event {
        let moment = Timestamp.now
        let received = ReactionReceived(streamID: key.stream, reaction: key.reaction, count: count, timestamp: moment)
        return Event(received, tenant: key.tenant, room: key.stream, publisher: .streamMetrics, time: moment)
    }
}
