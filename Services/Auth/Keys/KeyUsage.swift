import Database
import NIOConcurrencyHelpers

/// Which API keys were used since the last look, for `last_used_at`: written together every few seconds, not for every use.
final class KeyUsage: Sendable {
    private let used = NIOLockedValueBox<Set<String>>([])

    /// Seconds between two writes: how exact `last_used_at` is, but for the 30 s that others remember an answer.
    static let interval = Duration.seconds(10)
    private static let usedMax = 50_000

    func note(_ id: String) {
        self.used.withLockedValue { used in
            guard used.count < Self.usedMax else { return }
            used.insert(id)
        }
    }

    func write(_ writer: EventWriter) async throws {
        let ids = self.used.withLockedValue { used in
            defer { used = [] }
            return Array(used)
        }
        guard !ids.isEmpty else { return }
        _ = try await writer.write { mutation in
            try await mutation.query("UPDATE api_keys SET last_used_at = now() WHERE id = ANY (\(ids))")
        }
    }
}
