import Database
import Events
import Logging
import TestSupport
import Testing

@testable import StreamMetrics

@Suite struct StreamCacheTests {
    private let cache = StreamCache()
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let id = Stream.newID(at: .now)

    @Test(.enabled(if: PostgresFixture.isAvailable))
    func `a kept stream is not read again until somebody changes it`() async throws {
        try await self.withWriter { writer in
            try await writer.write { mutation in
                let found = try await self.cache.find(self.id, in: mutation)
                #expect(found.entry.status == .idle)
                self.cache.keep(found, as: self.id)
                _ = try await mutation.query("UPDATE streams SET status = 'live'")
                #expect(try await self.cache.find(self.id, in: mutation).entry.status == .idle)
                self.cache.forget(self.id)
                #expect(try await self.cache.find(self.id, in: mutation).entry.status == .live)
            }
        }
    }

    @Test(.enabled(if: PostgresFixture.isAvailable))
    func `what was found before a change is not kept after it`() async throws {
        try await self.withWriter { writer in
            try await writer.write { mutation in
                let found = try await self.cache.find(self.id, in: mutation)
                self.cache.forget(self.id)
                _ = try await mutation.query("UPDATE streams SET status = 'live'")
                self.cache.keep(found, as: self.id)
                #expect(try await self.cache.find(self.id, in: mutation).entry.status == .live)
            }
        }
    }

    @Test(.enabled(if: PostgresFixture.isAvailable))
    func `a stream that is not there is not found`() async throws {
        try await self.withWriter { writer in
            for id in ["", "stream_\0", Stream.newID(at: .now)] {
                let failure = await #expect(throws: CommandFailure.self) {
                    try await writer.write { mutation in _ = try await self.cache.find(id, in: mutation) }
                }
                #expect(failure?.code == .notFound)
            }
        }
    }

    /// Gives a writer on a fresh database with one idle stream in it.
    private func withWriter(_ body: (EventWriter) async throws -> Void) async throws {
        try await PostgresFixture.withDatabase { url in
            let initial = Migration(
                name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self))
            let database = Database(
                DatabaseConfiguration(url: url, schema: "stream_metrics"), migrations: EventLog.migrations + [initial],
                logger: self.logger)
            let writer = EventWriter(database: database, publisher: .streamMetrics, logger: self.logger) { _ in }
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await database.run() }
                group.addTask { try await writer.run() }
                try await writer.write { mutation in
                    _ = try await mutation.query(
                        """
                        INSERT INTO streams (id, tenant, title, protocol, status, recording, transcoding, created_at, updated_at)
                        VALUES (\(self.id), 'default', 'Show', 'srt', 'idle', '{}', '{}', now(), now())
                        """)
                }
                try await body(writer)
                group.cancelAll()
            }
        }
    }
}
