import Dialects
import Events
import ServiceKit

/// How often each network tried to connect lately, by dialect.
struct ConnectionAttempts {
    private struct Key: Hashable {
        let dialect: DialectName
        let network: ClientNetwork
    }

    private var limiters: [Key: RateLimiter] = [:]
    private let countMax: Int

    /// - Parameter countMax: how many networks are remembered.
    init(countMax: Int = 50_000) { self.countMax = countMax }

    var count: Int { self.limiters.count }

    /// Counts one attempt. Returns `false` if there were too many.
    mutating func take(_ dialect: DialectName, _ limit: RateLimit, from address: String, at now: Timestamp) -> Bool {
        let key = Key(dialect: dialect, network: ClientNetwork(address))
        if self.limiters[key] == nil, self.limiters.count >= self.countMax { self.makeRoom(at: now) }
        return self.limiters[key, default: RateLimiter(limit, at: now)].take(at: now)
    }

    /// Forgets an eighth: first those who have most of their limit left, and of these the ones that tried longest ago. Who has reached
    /// the limit is not freed of it by others' attempts.
    private mutating func makeRoom(at now: Timestamp) {
        let all = self.limiters.map { (key: $0.key, left: $0.value.left(at: now), last: $0.value.last) }
        let sorted = all.sorted { ($1.left, $0.last) < ($0.left, $1.last) }
        for entry in sorted.prefix(max(1, self.countMax / 8)) { self.limiters[entry.key] = nil }
    }
}
