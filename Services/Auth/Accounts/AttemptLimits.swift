import Glibc
import NIOConcurrencyHelpers

/// How often an account or an address may be wrong. In memory: a restart of auth forgets it.
final class AttemptLimits: Sendable {
    private struct State {
        var accounts = Throttle(threshold: 5, pauseMax: .seconds(300))
        var addresses = Throttle(threshold: 20, pauseMax: .seconds(300))
        var credentials = Throttle(threshold: 20, pauseMax: .seconds(60))
    }

    private let state = NIOLockedValueBox(State())
    private let now: @Sendable () -> ContinuousClock.Instant

    init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) { self.now = now }

    // MARK: passwords

    /// Begins an attempt, which counts as a failure until `succeeded` or `withdraw`. Returns the seconds after which to come again
    /// when there were too many: then nothing has begun.
    func begin(account: String, address: String) -> Int? {
        let (now, account, address) = (self.now(), Self.account(account), Self.network(of: address))
        return self.state.withLockedValue { state in
            let pauses = [state.accounts.pause(of: account, at: now), state.addresses.pause(of: address, at: now)]
            if let pause = pauses.compactMap(\.self).max() { return Self.seconds(pause) }
            state.accounts.count(account, at: now)
            state.addresses.count(address, at: now)
            return nil
        }
    }

    func failed(account: String, address: String) {
        let (now, account, address) = (self.now(), Self.account(account), Self.network(of: address))
        self.state.withLockedValue { state in
            state.accounts.confirm(account, at: now)
            state.addresses.confirm(address, at: now)
        }
    }

    /// The account begins anew. The address does not: one known password must not pay for guesses at others.
    func succeeded(account: String, address: String) {
        self.state.withLockedValue { state in
            state.accounts.forget(Self.account(account))
            state.addresses.withdraw(Self.network(of: address))
        }
    }

    /// The attempt was not judged.
    func withdraw(account: String, address: String) {
        self.state.withLockedValue { state in
            state.accounts.withdraw(Self.account(account))
            state.addresses.withdraw(Self.network(of: address))
        }
    }

    // MARK: other credentials

    /// An address showed a key or a token that is not known.
    func badCredential(from address: String) {
        let now = self.now()
        self.state.withLockedValue { $0.credentials.count(Self.network(of: address), at: now) }
    }

    /// The seconds after which to look at unknown credentials from there again; `nil`: now.
    func retryAfter(_ address: String) -> Int? {
        let now = self.now()
        return self.state.withLockedValue { $0.credentials.pause(of: Self.network(of: address), at: now) }
            .map(Self.seconds)
    }

    // MARK: keys

    private static func seconds(_ pause: Duration) -> Int { max(1, Int((pause / .seconds(1)).rounded(.up))) }

    /// Bounded, since whoever is not known yet chooses it.
    private static func account(_ text: String) -> String { String(text.lowercased().prefix(254)) }

    /// An address of version 4, or the network of 64 bits that one customer has in version 6. What is no address, such as a proxy's
    /// `unknown`, is a key like any other.
    static func network(of address: String) -> String {
        var parsed = in6_addr()
        guard inet_pton(AF_INET6, address, &parsed) == 1 else { return String(address.prefix(64)) }
        let bytes = withUnsafeBytes(of: parsed) { Array($0) }
        let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
        if isMapped { return bytes[12...].map { "\($0)" }.joined(separator: ".") }
        let groups = (0..<4).map { String(UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]), radix: 16) }
        return groups.joined(separator: ":") + "::/64"
    }
}
