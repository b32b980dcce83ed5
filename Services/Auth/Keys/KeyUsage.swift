import Database
import NIOConcurrencyHelpers

/// Which API keys were used since the last look, for `last_used_at`: written together every few seconds, not for every use. And which
/// credentials were good at all.
final class KeyUsage: Sendable {
    private let used = NIOLockedValueBox<Set<String>>([])
    private let familiar = NIOLockedValueBox<Set<String>>([])

    /// Seconds between two writes: how exact `last_used_at` is, but for the 30 s that others remember an answer.
    static let interval = Duration.seconds(10)
    private static let usedMax = 50_000

    func note(_ id: String) {
        self.used.withLockedValue { used in
            guard used.count < Self.usedMax else { return }
            used.insert(id)
        }
    }

    /// Remembers the hash of a credential that was good.
    func greet(_ hash: String) {
        self.familiar.withLockedValue { familiar in
            if familiar.count >= Self.usedMax { familiar = Set(familiar.dropFirst(Self.usedMax / 10)) }
            familiar.insert(hash)
        }
    }

    /// Whether a credential with that hash was good since the start.
    func isFamiliar(_ hash: String) -> Bool { self.familiar.withLockedValue { $0.contains(hash) } }

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
