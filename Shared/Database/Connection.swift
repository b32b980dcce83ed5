internal import CLibpq
internal import Threads

/// One connection to Postgres: the only user of its `PGconn`. One statement at a time; others wait their turn.
///
/// A statement that is cancelled, times out or loses the server ends the connection: nobody can know what comes next on it.
actor Connection {
    private let statementTimeout: Duration
    private let poller: SocketPoller
    private var handle: Handle?
    private var statements = StatementCache(capacity: 256)
    private var isTaken = false
    private var turns: [CheckedContinuation<Void, Never>] = []
    /// Commands that go out together with the next statement.
    private var preamble: [String] = []
    private var savepoint = Savepoint.none
    /// The number of the transaction; `nil` before its first statement. `pg_xact_status` knows it after a lost COMMIT.
    private(set) var transaction: String?

    private enum Savepoint { case none, armed, set }

    private static let begin = "BEGIN"
    private static let askTransaction = "SELECT pg_current_xact_id()::text AS xid"

    /// Ends when the connection does.
    nonisolated let closed: AsyncStream<Never>
    private let closing: AsyncStream<Never>.Continuation

    private static let connectMax = Duration.seconds(5)

    private init(statementTimeout: Duration, poller: SocketPoller) {
        self.statementTimeout = statementTimeout
        self.poller = poller
        (self.closed, self.closing) = AsyncStream.makeStream(of: Never.self)
    }

    deinit { self.closing.finish() }

    /// Connects, and sets the session up as our SQL expects it.
    /// - Parameter poller: awaits its socket.
    static func open(
        _ configuration: DatabaseConfiguration, poller: SocketPoller = .shared
    ) async throws(DatabaseError) -> Connection {
        let connection = Connection(statementTimeout: configuration.statementTimeout, poller: poller)
        try await connection.connect(configuration)
        let timeout = configuration.statementTimeout.components
        try await connection.execute(
            """
            SET search_path TO \(configuration.quotedSchema); SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO';
            SET IntervalStyle TO 'postgres'; SET client_min_messages TO warning; SET standard_conforming_strings TO on;
            SET statement_timeout TO \(timeout.seconds * 1000 + timeout.attoseconds / 1_000_000_000_000_000);
            \(configuration.settings.map { "SET \($0.name) TO \($0.value);" }.joined(separator: " "))
            """)
        return connection
    }

    /// Connects to the first host that answers and writes. libpq would wait for one that does not answer for ever, so each has a time.
    private func connect(_ configuration: DatabaseConfiguration) async throws(DatabaseError) {
        let hosts = DatabaseHost.all(in: configuration.url)
        guard !hosts.isEmpty else { return try await self.connect(configuration, to: nil, within: Self.connectMax) }
        var failures: [String] = []
        for host in hosts {
            do throws(DatabaseError) {
                return try await self.connect(configuration, to: host, within: Self.connectMax / hosts.count)
            } catch {
                guard case .unavailable(let reason) = error else { throw error }
                failures.append(reason)
            }
        }
        throw .unavailable(failures.joined(separator: "; "))
    }

    private func connect(
        _ configuration: DatabaseConfiguration, to host: DatabaseHost?, within time: Duration
    ) async throws(DatabaseError) {
        let deadline = ContinuousClock.now + time
        guard
            let handle = await Handle.start(
                url: configuration.url, host: host, applicationName: "crosspoint \(configuration.schema)")
        else { throw .unavailable("libpq has no memory") }
        var progress = handle.isBroken ? Handle.Progress.failed : .writing
        while true {
            switch progress {
            case .connected:
                self.handle = handle
                return
            case .failed: throw .unavailable(handle.message)
            case .reading, .writing:
                let interest: SocketPoller.Interest = progress == .reading ? .readable : .writable
                let left = deadline - ContinuousClock.now
                guard await self.poller.wait(for: handle.socket, interest, timeout: left) == .ready else {
                    throw .unavailable("the server did not answer in time")
                }
                progress = handle.poll()
            }
        }
    }

    /// Whether it can be lent again: connected, and in no transaction.
    var isIdle: Bool { self.handle?.transactionStatus == PQTRANS_IDLE }

    /// Whether a statement failed in the transaction, so that only a rollback can follow.
    var isFailed: Bool { self.handle?.transactionStatus == PQTRANS_INERROR }

    var isOpen: Bool { self.handle != nil }

    /// The server's process, as `pg_stat_activity` calls it.
    var serverProcess: Int32 { self.handle?.serverProcess ?? 0 }

    /// Looks at the socket of a connection at rest. `false`: the server has left, and the connection is closed.
    func check() -> Bool {
        guard let handle = self.handle else { return false }
        if self.isTaken { return true }
        if handle.consume(), !handle.isBroken { return true }
        self.close()
        return false
    }

    /// Ends it. A statement under way fails as unavailable.
    func close() {
        if self.isTaken { self.handle?.abort() }
        self.handle = nil
        self.closing.finish()
    }

    /// Runs one statement with its parameters, prepared on first use.
    func run(_ query: Query) async throws(DatabaseError) -> [Row] {
        await self.takeTurn()
        defer { self.endTurn() }
        let statement = try await self.statement(query)
        if self.savepoint == .armed {
            self.preamble.append("SAVEPOINT mutation")
            self.savepoint = .set
        }
        do {
            guard !self.preamble.isEmpty else { return try await self.exchange(statement.send).rows }
            return try await self.sendPreamble(with: [statement]).last?.rows ?? []
        } catch {
            self.closeIfOutdated(error)
            throw error
        }
    }

    /// A statement of ours that the server no longer knows, or that a migration changed: begin anew elsewhere.
    private func closeIfOutdated(_ error: DatabaseError) {
        if case .query(let state, _) = error, state == "0A000" || state == "26000" { self.close() }
    }

    private func statement(_ query: Query) async throws(DatabaseError) -> Statement {
        let values = query.parameters.map(\.text)
        // C would read such a text only up to the NUL, and Postgres stores none.
        guard !values.contains(where: { $0?.contains(0) ?? false }) else {
            throw .query(sqlState: "22021", message: "a text with a NUL character")
        }
        let name = try await self.prepare(StatementCache.Key(sql: query.sql, types: query.parameters.map(\.type)))
        return .prepared(name, values)
    }

    /// Runs SQL text, several statements too, without parameters, and gives what the server says it did last.
    @discardableResult
    func execute(_ sql: String, timeout: Duration? = nil) async throws(DatabaseError) -> String {
        await self.takeTurn()
        defer { self.endTurn() }
        if !self.preamble.isEmpty { _ = try await self.sendPreamble(with: []) }
        return try await self.exchange(timeout: timeout) { $0.send(sql) }.command
    }

    private func prepare(_ key: StatementCache.Key) async throws(DatabaseError) -> String {
        if let name = self.statements.name(of: key) { return name }
        if let oldest = self.statements.oldest {
            try await self.exchange { $0.send("DEALLOCATE \(oldest.name)") }
            self.statements.remove(oldest.key)
        }
        let name = self.statements.nextName
        try await self.exchange { $0.sendPrepare(name, key.sql, types: key.types) }
        self.statements.insert(key, name: name)
        return name
    }

    /// One of several statements that are sent together.
    private enum Statement {
        case command(String)
        case prepared(String, [[UInt8]?])

        func send(_ handle: Handle) -> Bool {
            switch self {
            case .command(let sql): handle.sendCommand(sql)
            case .prepared(let name, let values): handle.sendPrepared(name, values)
            }
        }
    }

    /// Sends what was put off, and these behind it, in one round trip; gives the results of all. What follows one that fails is not run.
    private func sendPreamble(with statements: [Statement]) async throws(DatabaseError) -> [QueryResult] {
        let commands = self.preamble
        self.preamble = []
        let results = try await self.exchangeTogether(commands.map(Statement.command) + statements)
        if let place = commands.firstIndex(of: Self.askTransaction) {
            self.transaction = try results[place].rows.first?.decode("xid")
        }
        return results
    }

    // MARK: one turn at a time

    private func takeTurn() async {
        guard self.isTaken else {
            self.isTaken = true
            return
        }
        await withCheckedContinuation { self.turns.append($0) }
    }

    /// Hands the turn to the next in line, which finds it taken.
    private func endTurn() {
        if self.turns.isEmpty { self.isTaken = false } else { self.turns.removeFirst().resume() }
    }

    // MARK: one round trip

    @discardableResult
    private func exchange(timeout: Duration? = nil, _ send: (Handle) -> Bool) async throws(DatabaseError) -> QueryResult
    {
        let handle = try self.openHandle()
        let deadline = ContinuousClock.now + (timeout ?? self.statementTimeout) + .seconds(2)
        do throws(DatabaseError) {
            guard send(handle) else { throw .unavailable(handle.message) }
            try await self.flush(handle, deadline)
            return try await self.collect(handle, deadline)
        } catch {
            self.closeIfUnclear(handle)
            throw error
        }
    }

    private func exchangeTogether(_ statements: [Statement]) async throws(DatabaseError) -> [QueryResult] {
        let handle = try self.openHandle()
        let deadline = ContinuousClock.now + self.statementTimeout + .seconds(2)
        do throws(DatabaseError) {
            guard handle.enterPipeline(), statements.allSatisfy({ $0.send(handle) }), handle.sendEnd() else {
                throw .unavailable(handle.message)
            }
            try await self.flush(handle, deadline)
            let results = try await self.collectAll(handle, deadline)
            guard handle.exitPipeline(), results.count == statements.count else { throw .unavailable(handle.message) }
            if let failure = results.lazy.compactMap(\.error).first { throw failure }
            return results
        } catch {
            self.closeIfUnclear(handle)
            throw error
        }
    }

    private func openHandle() throws(DatabaseError) -> Handle {
        guard let handle = self.handle else { throw .unavailable("the connection is closed") }
        return handle
    }

    /// After a failure: nobody can know what comes next on a connection that is in the middle of something.
    private func closeIfUnclear(_ handle: Handle) {
        if handle.isBroken || handle.isInPipeline || handle.transactionStatus == PQTRANS_ACTIVE || self.handle == nil {
            self.close()
        }
    }

    /// The results of what was sent together.
    private func collectAll(_ handle: Handle, _ deadline: ContinuousClock.Instant) async throws(DatabaseError)
        -> [QueryResult]
    {
        var results: [QueryResult] = []
        while true {
            while handle.isBusy {
                try await self.wait(handle, .readable, deadline)
                guard handle.consume() else { throw .unavailable(handle.message) }
            }
            // Nothing stands between the results of two statements.
            guard let result = handle.nextResult() else {
                guard !handle.isBroken else { throw .unavailable(handle.message) }
                continue
            }
            if result.isEnd { return results }
            if handle.isBroken { throw result.error ?? .unavailable(handle.message) }
            results.append(result)
        }
    }

    private func flush(_ handle: Handle, _ deadline: ContinuousClock.Instant) async throws(DatabaseError) {
        while true {
            guard let isFlushed = handle.flush() else { throw .unavailable(handle.message) }
            if isFlushed { return }
            try await self.wait(handle, .either, deadline)
            // The server may be writing as well, and would not read on until we read.
            guard handle.consume() else { throw .unavailable(handle.message) }
        }
    }

    private func collect(_ handle: Handle, _ deadline: ContinuousClock.Instant) async throws(DatabaseError)
        -> QueryResult
    {
        var (last, failure): (QueryResult?, DatabaseError?)
        while true {
            while handle.isBusy {
                try await self.wait(handle, .readable, deadline)
                guard handle.consume() else { throw failure ?? .unavailable(handle.message) }
            }
            guard let result = handle.nextResult() else { break }
            failure = failure ?? result.error
            last = result
            if handle.isBroken { break }
        }
        if let failure { throw failure }
        guard let last else { throw .unavailable(handle.message) }
        return last
    }

    private func wait(
        _ handle: Handle, _ interest: SocketPoller.Interest, _ deadline: ContinuousClock.Instant
    ) async throws(DatabaseError) {
        let outcome = await self.poller.wait(
            for: handle.socket, interest, timeout: deadline - ContinuousClock.now)
        guard self.handle != nil else { throw .unavailable("the connection was closed") }
        switch outcome {
        case .ready: return
        case .timedOut:
            self.close()
            throw .unavailable("the server did not answer in time")
        case .cancelled:
            self.close()
            throw .unavailable("cancelled")
        }
    }
}

// MARK: transactions of the event writer

extension Connection {
    /// Begins a transaction with the next statement.
    func beginWithNext() {
        self.preamble = [Self.begin, Self.askTransaction]
        self.transaction = nil
        self.savepoint = .none
    }

    /// Runs a last statement and commits, in one round trip; gives its rows, and what the server says it did in the end.
    /// Without any statement since the beginning, nothing is done.
    func commit(after query: Query?) async throws(DatabaseError) -> (rows: [Row], command: String) {
        await self.takeTurn()
        defer { self.endTurn() }
        let hasBegun = self.preamble.first != Self.begin
        guard hasBegun || query != nil else {
            self.preamble = []
            return ([], "COMMIT")
        }
        // The transaction's number must be known before the COMMIT may get lost. All else that was put off goes without saying.
        if hasBegun { self.preamble = [] } else { _ = try await self.sendPreamble(with: []) }
        var statements: [Statement] = []
        if let query { statements.append(try await self.statement(query)) }
        do {
            let results = try await self.exchangeTogether(statements + [.command("COMMIT")])
            return (query == nil ? [] : results[0].rows, results.last?.command ?? "")
        } catch {
            self.closeIfOutdated(error)
            throw error
        }
    }

    /// Gives the transaction up.
    func rollBack() async throws(DatabaseError) {
        self.preamble = []
        self.savepoint = .none
        if self.isOpen, !self.isIdle { try await self.execute("ROLLBACK") }
    }

    /// The next statement sets a savepoint first, so that a mutation without statements costs none.
    func armSavepoint() { self.savepoint = .armed }

    /// Forgets the savepoint, with the next statement, or goes back to it.
    func endSavepoint(rollback: Bool) async throws(DatabaseError) {
        let wasSet = self.savepoint == .set
        self.savepoint = .none
        guard wasSet else { return }
        if rollback {
            try await self.execute("ROLLBACK TO mutation; RELEASE mutation")
        } else {
            self.preamble.append("RELEASE mutation")
        }
    }
}
