import Dialects
import Events
import Metrics
import NIOConcurrencyHelpers

/// Who is connected to this gateway, over all loops: per dialect, and how often each address tried.
final class Census: Sendable {
    private struct State {
        var clients: [DialectName: Int] = [:]
        var isDraining = false
    }

    private let state = NIOLockedValueBox(State())
    /// Apart from the rest: making room takes long, and loops do not wait for it.
    private let attempts = NIOLockedValueBox(ConnectionAttempts())
    private let gauges = Dictionary(
        uniqueKeysWithValues: DialectName.allCases.map {
            ($0, Gauge(label: "gateway_clients", dimensions: [("dialect", $0.rawValue)]))
        })

    var total: Int { self.state.withLockedValue { $0.clients.values.reduce(0, +) } }

    var isDraining: Bool { self.state.withLockedValue { $0.isDraining } }

    func beginDraining() { self.state.withLockedValue { $0.isDraining = true } }

    /// Counts one connection attempt. Returns `false` if there were too many from the network of that address.
    func attempt(_ profile: DialectProfile, from address: String) -> Bool {
        guard let limit = profile.attemptRate else { return true }
        return self.attempts.withLockedValue { $0.take(profile.name, limit, from: address, at: .now) }
    }

    /// Counts one more client; `false`: the dialect's limit is reached.
    func enter(_ profile: DialectProfile) -> Bool {
        let count = self.state.withLockedValue { state -> Int? in
            let count = state.clients[profile.name, default: 0]
            if let max = profile.connectionsMax, count >= max { return nil }
            state.clients[profile.name] = count + 1
            return count + 1
        }
        guard let count else { return false }
        self.gauges[profile.name]?.record(count)
        return true
    }

    func leave(_ dialect: DialectName) {
        let count = self.state.withLockedValue { state -> Int in
            let count = state.clients[dialect, default: 1] - 1
            state.clients[dialect] = count
            return count
        }
        self.gauges[dialect]?.record(count)
    }
}
