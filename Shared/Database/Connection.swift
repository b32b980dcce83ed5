internal import CLibpq
internal import Threads

/// One connection to Postgres: the only user of its `PGconn`. One statement at a time; others wait their turn.
///
/// A statement that is cancelled, times out or loses the server ends the connection: nobody can know what comes next on it.
actor Connection {
    private let statementTimeout: Duration
    private var handle: Handle?
    private var statements = StatementCache(capacity: 256)
    private var isTaken = false
    private var turns: [CheckedContinuation<Void, Never>] = []
    private var savepoint = Savepoint.none

    private enum Savepoint { case none, armed, set }

    /// Ends when the connection does.
    nonisolated let closed: AsyncStream<Never>
    private let closing: AsyncStream<Never>.Continuation

    private static let connectMax = Duration.seconds(5)

    private init(statementTimeout: Duration) {
        self.statementTimeout = statementTimeout
        (self.closed, self.closing) = AsyncStream.makeStream(of: Never.self)
    }

    deinit { self.closing.finish() }

    /// Connects, and sets the session up as our SQL expects it.
    static func open(_ configuration: DatabaseConfiguration) async throws(DatabaseError) -> Connection {
        let connection = Connection(statementTimeout: configuration.statementTimeout)
        try await connection.connect(configuration)
        let timeout = configuration.statementTimeout.components
        try await connection.execute(
            """
            SET search_path TO \(configuration.quotedSchema); SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO';
            SET IntervalStyle TO 'postgres'; SET client_min_messages TO warning; SET standard_conforming_strings TO on;
            SET statement_timeout TO \(timeout.seconds * 1000 + timeout.attoseconds / 1_000_000_000_000_000)
            """)
        return connection
    }

    private func connect(_ configuration: DatabaseConfiguration) async throws(DatabaseError) {
        let deadline = ContinuousClock.now + Self.connectMax
        guard
            let handle = await Handle.start(
                url: configuration.url, applicationName: "crosspoint \(configuration.schema)")
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
                guard await SocketPoller.shared.wait(for: handle.socket, interest, timeout: left) == .ready else {
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
        let values = query.parameters.map(\.text)
        // C would read such a text only up to the NUL, and Postgres stores none.
        guard !values.contains(where: { $0?.contains(0) ?? false }) else {
            throw .query(sqlState: "22021", message: "a text with a NUL character")
        }
        if self.savepoint == .armed {
            try await self.exchange { $0.send("SAVEPOINT mutation") }
            self.savepoint = .set
        }
        let name = try await self.prepare(StatementCache.Key(sql: query.sql, types: query.parameters.map(\.type)))
        do {
            return try await self.exchange { $0.sendPrepared(name, values) }.rows
        } catch {
            // A statement of ours that the server no longer knows, or that a migration changed: begin anew elsewhere.
            if case .query(let state, _) = error, state == "0A000" || state == "26000" { self.close() }
            throw error
        }
    }

    /// Runs SQL text, several statements too, without parameters, and gives what the server says it did last.
    @discardableResult
    func execute(_ sql: String, timeout: Duration? = nil) async throws(DatabaseError) -> String {
        await self.takeTurn()
        defer { self.endTurn() }
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
        guard let handle = self.handle else { throw .unavailable("the connection is closed") }
        let deadline = ContinuousClock.now + (timeout ?? self.statementTimeout) + .seconds(2)
        do throws(DatabaseError) {
            guard send(handle) else { throw .unavailable(handle.message) }
            try await self.flush(handle, deadline)
            return try await self.collect(handle, deadline)
        } catch {
            if handle.isBroken || handle.transactionStatus == PQTRANS_ACTIVE || self.handle == nil { self.close() }
            throw error
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
        let outcome = await SocketPoller.shared.wait(
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

// MARK: savepoints, for the event writer

extension Connection {
    /// The next statement sets a savepoint first, so that a mutation without statements costs none.
    func armSavepoint() { self.savepoint = .armed }

    /// Forgets the savepoint, or goes back to it.
    func endSavepoint(rollback: Bool) async throws(DatabaseError) {
        let wasSet = self.savepoint == .set
        self.savepoint = .none
        if wasSet { try await self.execute(rollback ? "ROLLBACK TO mutation; RELEASE mutation" : "RELEASE mutation") }
    }
}
