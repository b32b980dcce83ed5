import NIOConcurrencyHelpers
import Peers
import ServiceKit
import Threads

/// Connections that wait for their request's head: so many in all, and of one network. One more is closed at once; those that are
/// there have their 5 seconds. A client whose head has come with its connection, as nearly all do without TLS, does not wait.
final class PendingHeads: Sendable {
    private struct State {
        var total = 0
        var networks: [ClientNetwork: Int] = [:]
    }

    private let state = NIOLockedValueBox(State())
    private let max: Int
    private let networkMax: Int
    private let proxies: TrustedProxies
    private let metrics = QueueMetrics(queue: "heads")

    /// - Parameters:
    ///   - max: how many may wait; of one network an eighth of that.
    ///   - proxies: carry others' connections, so they are no network of their own.
    init(max: Int, proxies: TrustedProxies) {
        self.max = max
        self.proxies = proxies
        self.networkMax = Swift.max(1, max / 8)
    }

    /// A quarter of the descriptors that the process may have, and no more than 8,192.
    static var usualMax: Int { min(8192, (OpenFileLimit.current ?? .max) / 4) }

    /// How many wait.
    var count: Int { self.state.withLockedValue { $0.total } }

    /// Counts one more. Returns `false` if there are too many.
    /// - Parameter network: `nil` counts in all only.
    fileprivate func enter(_ network: ClientNetwork?) -> Bool {
        let hasRoom = self.state.withLockedValue { state in
            let own = network.map { state.networks[$0, default: 0] } ?? 0
            guard state.total < self.max, own < self.networkMax else { return false }
            state.total += 1
            if let network { state.networks[network] = own + 1 }
            return true
        }
        if hasRoom { self.metrics.add() } else { self.metrics.refuse() }
        return hasRoom
    }

    fileprivate func leave(_ network: ClientNetwork?) {
        self.state.withLockedValue { state in
            state.total -= 1
            guard let network, let own = state.networks[network] else { return }
            state.networks[network] = own > 1 ? own - 1 : nil
        }
        self.metrics.remove()
    }

    /// The place of one connection, from when it has to wait until its head is there or it is gone.
    struct Place: ~Copyable {
        private let heads: PendingHeads
        private var waitsAs: (address: String, network: ClientNetwork?)?

        init(among heads: PendingHeads) { self.heads = heads }

        /// Counts the connection as one that waits, of that address if it was of another before. Returns `false` if there are too many.
        mutating func wait(as address: String) -> Bool {
            if self.waitsAs?.address == address { return true }
            self.leave()
            // On this machine are HAProxy, which carries others', and programs that its operator runs.
            let isOwn = Loopback.contains(address: address) || self.heads.proxies.contains(address: address)
            let network = isOwn ? nil : ClientNetwork(address)
            guard self.heads.enter(network) else { return false }
            self.waitsAs = (address, network)
            return true
        }

        private mutating func leave() {
            guard let waitsAs = self.waitsAs else { return }
            self.heads.leave(waitsAs.network)
            self.waitsAs = nil
        }

        deinit { if let waitsAs = self.waitsAs { self.heads.leave(waitsAs.network) } }
    }
}
