import Database
import Events
import FoundationEssentials
import Logging
import ServiceLifecycle

/// The issuers of the configuration, with the public keys that they were last seen to publish.
///
/// Keys are fetched every ten minutes, and when a token names one that is not known. An issuer that is away, or answers with
/// something else, leaves us what we have, which the database keeps for the next start.
actor TrustedIssuers {
    typealias Download = @Sendable (URL, _ timeout: Duration) async throws -> [UInt8]

    private struct Known {
        var entry: TrustedIssuerEntry
        /// How the last attempt ended; `nil`: there was none.
        var outcome: Outcome?
        var attempt: ContinuousClock.Instant?
        var demand: ContinuousClock.Instant?
        /// A download on demand, which everybody waits for who asks meanwhile.
        var running: Task<Void, Never>?
        /// Whether somebody asked too soon, so that it is done later.
        var isWanted = false
        /// What the database has.
        var saved: String?
    }

    private enum Outcome: Hashable { case keys, noKeys, failed }

    private var known: [Known]
    private let download: Download
    private let logger: Logger
    private var writer: EventWriter?

    static let interval = Duration.seconds(600)
    /// After a failure.
    static let retry = Duration.seconds(30)
    /// Between two times that somebody else makes us ask: anybody can name a key that is not there.
    static let demandInterval = Duration.seconds(30)
    private static let timeout = Duration.seconds(5)
    /// Somebody waits, with a token in hand.
    private static let demandTimeout = Duration.seconds(2)

    init(
        _ entries: [TrustedIssuerEntry], logger: Logger,
        download: @escaping Download = PublicKeys.download(from:within:)
    ) {
        self.known = entries.map { Known(entry: $0) }
        self.download = download
        self.logger = logger
    }

    /// What others verify their tokens with.
    var all: [TrustedIssuer] { self.known.map(\.entry.issuer) }

    // MARK: fetching

    /// Fetches an issuer's keys because one of them is not known.
    func demand(_ issuer: String, at now: ContinuousClock.Instant = .now) async {
        guard let index = self.known.firstIndex(where: { $0.entry.issuer.issuer == issuer }) else { return }
        if let running = self.known[index].running { return await running.value }
        if let last = self.known[index].demand, now - last < Self.demandInterval {
            self.known[index].isWanted = true
            return
        }
        self.known[index].demand = now
        let running = Task { await self.fetch(index, within: Self.demandTimeout) }
        self.known[index].running = running
        await running.value
        self.known[index].running = nil
    }

    /// Fetches all keys whose time has come.
    func fetchDue(at now: ContinuousClock.Instant = .now) async {
        for index in self.known.indices {
            let pause = self.known[index].outcome == .failed ? Self.retry : Self.interval
            let isDue = self.known[index].attempt.map { now - $0 >= pause } ?? true
            let isDueAgain =
                self.known[index].isWanted
                && (self.known[index].demand.map { now - $0 >= Self.demandInterval } ?? true)
            guard isDue || isDueAgain else { continue }
            if isDueAgain { (self.known[index].isWanted, self.known[index].demand) = (false, now) }
            await self.fetch(index, within: Self.timeout)
        }
    }

    private func fetch(_ index: Int, within timeout: Duration) async {
        let (url, name) = (self.known[index].entry.keysURL, self.known[index].entry.issuer.name)
        self.known[index].attempt = .now
        let outcome: Outcome
        var reason = "not a key set"
        do {
            if let document = PublicKeys.document(of: try await self.download(url, timeout)) {
                // Without a key none of its tokens is good: that is the issuer's to say.
                self.known[index].entry.issuer.jwks = document.jwks
                outcome = document.count > 0 ? .keys : .noKeys
            } else {
                outcome = .failed
            }
        } catch {
            (outcome, reason) = (.failed, "\(error)")
        }
        self.tell(name, outcome, before: self.known[index].outcome, reason)
        self.known[index].outcome = outcome
        await self.save(index)
    }

    /// Once for each change.
    private func tell(_ name: String, _ outcome: Outcome, before: Outcome?, _ reason: String) {
        guard outcome != before else { return }
        switch outcome {
        case .keys: self.logger.notice("A trusted issuer's keys are known", metadata: ["issuer.name": "\(name)"])
        case .noKeys: self.logger.warning("A trusted issuer has no usable key", metadata: ["issuer.name": "\(name)"])
        case .failed:
            self.logger.warning(
                "A trusted issuer's keys cannot be fetched", metadata: ["issuer.name": "\(name)", "error": "\(reason)"])
        }
    }

    // MARK: storage

    /// Takes the keys of before this process's start, where none were fetched yet. Throws `DatabaseError`.
    func restore(_ database: Database, _ writer: EventWriter) async throws {
        self.writer = writer
        let rows = try await database.query("SELECT issuer, jwks_url, jwks FROM trusted_issuer_keys")
        for row in rows {
            let (issuer, url) = (try row.decode("issuer", as: String.self), try row.decode("jwks_url", as: String.self))
            let index = self.known.firstIndex {
                // Another address may be another's.
                $0.entry.issuer.issuer == issuer && $0.entry.keysURL.absoluteString == url
            }
            guard let index else { continue }
            let jwks = try row.decode("jwks", as: String.self)
            self.known[index].saved = jwks
            if self.known[index].entry.issuer.jwks == nil { self.known[index].entry.issuer.jwks = jwks }
        }
        for index in self.known.indices { await self.save(index) }
    }

    private func save(_ index: Int) async {
        let entry = self.known[index].entry
        guard let writer = self.writer, let jwks = entry.issuer.jwks, jwks != self.known[index].saved else { return }
        // `try?`: without the database it is tried again after the next fetch.
        let rows = try? await writer.write { mutation in
            try await mutation.query(
                """
                INSERT INTO trusted_issuer_keys (issuer, jwks_url, jwks) VALUES (\(entry.issuer.issuer), \(entry.keysURL.absoluteString),
                    \(jwks))
                ON CONFLICT (issuer) DO UPDATE SET jwks_url = excluded.jwks_url, jwks = excluded.jwks, fetched_at = now()
                """)
        }
        if rows != nil { self.known[index].saved = jwks }
    }
}

/// Keeps the issuers' keys fresh.
struct TrustedIssuerUpkeep: Service {
    let issuers: TrustedIssuers
    let database: Database
    let writer: EventWriter

    private static let pause = Duration.seconds(1)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var isRestored = false
            while !Task.isCancelled {
                // `try?`: the database may be away, and is asked again; a cancelled sleep ends the loop.
                if !isRestored { isRestored = (try? await self.issuers.restore(self.database, self.writer)) != nil }
                await self.issuers.fetchDue()
                try? await Task.sleep(for: Self.pause)
            }
        }
    }
}
