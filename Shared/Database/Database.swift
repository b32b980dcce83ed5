public import Logging
internal import Metrics
internal import NIOConcurrencyHelpers
public import ServiceLifecycle
internal import Threads

/// A service's connections to Postgres: opened and kept by `run`, lent for a statement or a transaction at a time.
///
/// Postgres being away is a state: callers hear `unavailable` at once, and everything resumes by itself.
public final class Database: Service, Sendable {
    typealias Loan = Pending<Result<Connection, DatabaseError>>

    private struct State {
        var idle: [Connection] = []
        var waiting: [Loan] = []
        var open = 0
        /// Why there is no connection; `nil` while there is one, or while the first attempt runs.
        var away: String?
        var isMigrated = false
        /// Pools that wait for this one's migrations.
        var dependents: [Pending<Void>] = []
        var hasEnded = false
    }

    public let configuration: DatabaseConfiguration
    private let migrations: [Migration]
    /// The pool that applies the migrations; `nil`: this one.
    private let owner: Database?
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    private let openGauge: Gauge
    private let waitingGauge: Gauge
    private let lostCounter: Counter
    private let refusedCounter: Counter

    private static let waitingMax = 10_000

    /// - Parameter migrations: applied in order, each once, before the first connection is lent.
    public convenience init(_ configuration: DatabaseConfiguration, migrations: [Migration] = [], logger: Logger) {
        self.init(configuration, migrations: migrations, owner: nil, logger: logger)
    }

    /// Makes a pool of connections to the same schema, apart from the others: it connects once `owner` has applied the migrations.
    public convenience init(_ configuration: DatabaseConfiguration, beside owner: Database, logger: Logger) {
        self.init(configuration, migrations: [], owner: owner, logger: logger)
    }

    private init(_ configuration: DatabaseConfiguration, migrations: [Migration], owner: Database?, logger: Logger) {
        self.configuration = configuration
        self.migrations = migrations
        self.owner = owner
        self.logger = logger
        let pool = configuration.pool
        self.openGauge = Gauge(label: "database_connections", dimensions: [("pool", pool)])
        self.waitingGauge = Gauge(label: "database_waiting", dimensions: [("pool", pool)])
        self.lostCounter = Counter(label: "database_connections_lost_total", dimensions: [("pool", pool)])
        self.refusedCounter = Counter(label: "database_refused_total", dimensions: [("pool", pool)])
    }

    /// Connected and migrated.
    public var isReady: Bool {
        self.isMigrated && self.state.withLockedValue { $0.open > 0 && !$0.hasEnded }
    }

    /// Whether this process has seen every migration applied since it last connected anew.
    var isMigrated: Bool { self.owner?.isMigrated ?? self.state.withLockedValue { $0.isMigrated } }

    /// Keeps the connections until the task is cancelled or shut down gracefully. Throws only when a migration is refused.
    public func run() async throws {
        defer { self.end() }
        try await cancelWhenGracefulShutdown {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<max(1, self.configuration.connections) {
                    group.addTask { try await self.keepConnection() }
                }
                group.addTask { await self.watch() }
                // Not `waitForAll`, which would wait for the others before it throws.
                for try await _ in group {}
            }
        }
    }

    public func query(_ query: Query) async throws(DatabaseError) -> [Row] {
        let connection = try await self.lend()
        do {
            let rows = try await connection.run(query)
            await self.giveBack(connection)
            return rows
        } catch {
            await self.giveBack(connection)
            throw error
        }
    }

    /// Runs the body's statements in one transaction, which is rolled back when the body throws.
    public func transaction<R: Sendable>(_ body: @Sendable (Transaction) async throws -> R) async throws -> R {
        let connection = try await self.lend()
        do {
            try await connection.execute("BEGIN")
            let transaction = Transaction(connection)
            defer { transaction.end() }
            let value = try await body(transaction)
            try await self.commit(connection)
            await self.giveBack(connection)
            return value
        } catch {
            // `try?`: a connection on which even this fails is closed, and the server rolls back.
            if await !connection.isIdle { _ = try? await connection.execute("ROLLBACK") }
            await self.giveBack(connection)
            throw error
        }
    }

    private func commit(_ connection: Connection) async throws(DatabaseError) {
        guard await connection.isOpen else { throw .unavailable("the connection was lost") }
        do throws(DatabaseError) {
            // Postgres answers the COMMIT of a failed transaction with a rollback, not with an error.
            guard try await connection.execute("COMMIT") == "COMMIT" else {
                throw .query(sqlState: "25P02", message: "a failed statement was ignored")
            }
        } catch {
            if case .unavailable(let reason) = error { throw .outcomeUnknown(reason) }
            throw error
        }
    }

    // MARK: lending

    private func lend() async throws(DatabaseError) -> Connection {
        while true {
            let connection = try await self.take()
            // It may have been lost while it was idle; its keeper replaces it.
            if await connection.check() { return connection }
        }
    }

    private func take() async throws(DatabaseError) -> Connection {
        let loan = Loan()
        let (taken, waiting) = self.state.withLockedValue { state -> (Result<Connection, DatabaseError>?, Int) in
            if state.hasEnded { return (.failure(.unavailable("the database pool has ended")), 0) }
            if let reason = state.away { return (.failure(.unavailable(reason)), 0) }
            if let connection = state.idle.popLast() { return (.success(connection), state.waiting.count) }
            guard state.waiting.count < Self.waitingMax else {
                return (.failure(.unavailable("too many callers wait for a connection")), Self.waitingMax)
            }
            state.waiting.append(loan)
            return (nil, state.waiting.count)
        }
        self.waitingGauge.record(waiting)
        if case .failure = taken { self.refusedCounter.increment() }
        if let taken { return try taken.get() }
        let result = await withTaskCancellationHandler {
            async let _: Void = loan.give(
                .failure(.unavailable("no connection became free in time")), after: self.configuration.waitMax)
            return await loan.value()
        } onCancel: {
            loan.give(.failure(.unavailable("cancelled")))
        }
        if case .failure = result {
            self.refusedCounter.increment()
            self.state.withLockedValue { state in state.waiting.removeAll { $0 === loan } }
        }
        return try result.get()
    }

    private func giveBack(_ connection: Connection) async {
        if await connection.isIdle { await self.offer(connection) } else { await connection.close() }
    }

    /// Hands a free connection to whoever waits longest.
    private func offer(_ connection: Connection) async {
        while true {
            let (loan, hasEnded) = self.state.withLockedValue { state -> (Loan?, Bool) in
                if state.hasEnded { return (nil, true) }
                if !state.waiting.isEmpty { return (state.waiting.removeFirst(), false) }
                state.idle.append(connection)
                return (nil, false)
            }
            if hasEnded { return await connection.close() }
            // One that gave up meanwhile does not take it.
            guard let loan, !loan.give(.success(connection)) else { return }
        }
    }

    // MARK: keeping

    /// Between attempts to connect.
    static let backoff = Backoff(from: .milliseconds(200), to: .seconds(5))

    private func keepConnection() async throws {
        var backoff = Self.backoff
        while !Task.isCancelled {
            do throws(DatabaseError) {
                await self.owner?.awaitMigrations()
                let connection = try await Connection.open(self.configuration)
                try await self.migrate(on: connection)
                backoff.reset()
                await self.opened(connection)
                for await _ in connection.closed {}
                self.lost(connection)
            } catch {
                guard Self.mayPass(error) else { throw error }
                if Task.isCancelled { return }
                self.failed(error)
                // `try?`: cancelled, the loop ends.
                try? await Task.sleep(for: backoff.pause())
            }
        }
    }

    /// Deadlocks and lock timeouts pass as an absent server does; any other refusal is a fault in a migration.
    private static func mayPass(_ error: DatabaseError) -> Bool {
        if case .query(let state, _) = error { return state.hasPrefix("40") || state == "55P03" }
        return error.isUnavailable
    }

    private func migrate(on connection: Connection) async throws(DatabaseError) {
        if self.owner != nil || self.isMigrated { return }
        try await MigrationRunner(configuration: self.configuration).apply(self.migrations, on: connection)
        let dependents = self.state.withLockedValue { state -> [Pending<Void>] in
            defer { state.dependents = [] }
            state.isMigrated = true
            return state.dependents
        }
        for dependent in dependents { dependent.give(()) }
    }

    /// Returns when the migrations are applied, or the task is cancelled.
    private func awaitMigrations() async {
        let pending = Pending<Void>()
        let isMigrated = self.state.withLockedValue { state -> Bool in
            if !state.isMigrated { state.dependents.append(pending) }
            return state.isMigrated
        }
        if isMigrated { return }
        await withTaskCancellationHandler {
            await pending.value()
        } onCancel: {
            pending.give(())
        }
    }

    private func opened(_ connection: Connection) async {
        let (open, wasAway) = self.state.withLockedValue { state -> (Int, Bool) in
            defer { state.away = nil }
            state.open += 1
            return (state.open, state.away != nil)
        }
        self.openGauge.record(open)
        self.logger.log(
            level: wasAway ? .notice : .debug, "Connected to Postgres",
            metadata: ["database.pool": "\(self.configuration.pool)", "database.connections": "\(open)"])
        await self.offer(connection)
    }

    private func lost(_ connection: Connection) {
        let open = self.state.withLockedValue { state -> Int in
            state.idle.removeAll { $0 === connection }
            state.open -= 1
            // The next server may be an older state of this one: a restore goes back behind a migration, too.
            if state.open == 0 { state.isMigrated = false }
            return state.open
        }
        self.openGauge.record(open)
        self.lostCounter.increment()
        self.logger.debug(
            "A connection to Postgres ended",
            metadata: ["database.pool": "\(self.configuration.pool)", "database.connections": "\(open)"])
    }

    private func failed(_ error: DatabaseError) {
        let reason = if case .unavailable(let reason) = error { reason } else { "\(error)" }
        let (refused, isNew) = self.state.withLockedValue { state -> ([Loan], Bool) in
            guard state.open == 0 else { return ([], false) }
            defer {
                state.away = reason
                state.waiting = []
            }
            return (state.waiting, state.away == nil)
        }
        for loan in refused { loan.give(.failure(.unavailable(reason))) }
        self.logger.log(
            level: isNew ? .warning : .debug, "Postgres is away",
            metadata: ["database.pool": "\(self.configuration.pool)", "database.error": "\(reason)"])
    }

    /// Notices a server that leaves while nobody asks anything of it.
    private func watch() async {
        // `try?`: cancelled, the watch ends.
        while (try? await Task.sleep(for: .seconds(1))) != nil {
            for connection in self.state.withLockedValue({ $0.idle }) { _ = await connection.check() }
        }
    }

    private func end() {
        let refused = self.state.withLockedValue { state -> [Loan] in
            defer {
                state.waiting = []
                // The last reference closes each.
                state.idle = []
            }
            state.hasEnded = true
            return state.waiting
        }
        for loan in refused { loan.give(.failure(.unavailable("the database pool has ended"))) }
    }
}
