public import Events
public import Logging
internal import Metrics
internal import NIOConcurrencyHelpers
public import ServiceLifecycle
internal import Threads

/// The one writer of a service's durable state: changes and their events go through it, batched into transactions.
///
/// Concurrent mutations share a transaction, take a block of `seq`, are committed, published in order, and then answered.
/// An advisory lock makes it the only one for its schema; another process's writer stands by until this one is gone.
public final class EventWriter: Service, Sendable {
    private enum Phase {
        /// Connecting, and not yet known to fail: mutations queue.
        case starting
        case active
        case standby
        case away(String)
        case ended
    }

    private struct State {
        var phase = Phase.starting
        var queue: [MutationJob] = []
        var head: Position?
        var clock = LogClock()
        var isStopping = false
        /// Ended early by a mutation and by a shutdown.
        var resting: Pending<Void>?
        /// Ended early by a shutdown only.
        var pausing: Pending<Void>?
    }

    private let database: Database
    private let publisher: ServiceName
    private let retention: Duration
    private let whenActive: @Sendable (Position) async -> Void
    private let publish: @Sendable ([Event]) async -> Void
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    private let queueGauge = Gauge(label: "event_writer_queue")
    private let refusedCounter = Counter(label: "event_writer_refused_total")
    private let eventCounter = Counter(label: "event_writer_events_total")
    private let commitTimer = Timer(label: "event_writer_commit_seconds")

    /// The writer works on the thread that awaits its socket: of a transaction's time most is waiting, and every other thread that has to
    /// be woken in it makes it longer.
    private static let poller = SocketPoller()
    private static let queueMax = 10_000
    private static let batchMax = 100
    private static let resolveMax = Duration.seconds(5)

    /// - Parameters:
    ///   - database: says where to connect and whether the migrations, `EventLog.migrations` among them, are applied.
    ///   - retention: how long the log keeps an event, in whole days.
    ///   - whenActive: is given the log's end when the writer becomes active, before the first event; writing waits for it.
    ///   - publish: is given the committed events in order of `seq`, batch after batch; the next batch waits for it.
    public init(
        database: Database, publisher: ServiceName, retention: Duration = .seconds(7 * 86_400), logger: Logger,
        whenActive: @escaping @Sendable (Position) async -> Void = { _ in },
        publish: @escaping @Sendable ([Event]) async -> Void
    ) {
        self.database = database
        self.publisher = publisher
        self.retention = retention
        self.logger = logger
        self.whenActive = whenActive
        self.publish = publish
    }

    /// Whether this process holds the lock and can write.
    public var isActive: Bool { self.state.withLockedValue { if case .active = $0.phase { true } else { false } } }

    /// Whether another process is the writer, as far as this one knows.
    public var isStandby: Bool { self.state.withLockedValue { if case .standby = $0.phase { true } else { false } } }

    /// How many mutations wait.
    var queued: Int { self.state.withLockedValue { $0.queue.count } }

    /// The log's end as of the last commit; `nil` until it was read, and while standing by.
    public var head: Position? { self.state.withLockedValue { $0.head } }

    /// Runs `body` in a transaction, logs and publishes what it emits, and returns its value once all of that is done.
    ///
    /// The body shares its transaction with others, one after the other, so it does database work only and soon returns.
    /// If it throws, its changes and events are gone and its error is thrown here. Constraints must not be deferred.
    public func write<R: Sendable>(_ body: @escaping @Sendable (Mutation) async throws -> R) async throws -> R {
        let answer = Pending<Result<R, any Error>>()
        let value = NIOLockedValueBox<R?>(nil)
        let job = MutationJob { mutation in
            let result = try await body(mutation)
            value.withLockedValue { $0 = result }
        } finish: { error in
            if let error {
                answer.give(.failure(error))
            } else if let result = value.withLockedValue({ $0 }) {
                answer.give(.success(result))
            }
        }
        try self.enqueue(job)
        return try await answer.value().get()
    }

    private func enqueue(_ job: MutationJob) throws(DatabaseError) {
        let (refusal, resting, depth) = self.state.withLockedValue { state -> (DatabaseError?, Pending<Void>?, Int) in
            if let refusal = Self.refusal(state) { return (refusal, nil, state.queue.count) }
            state.queue.append(job)
            return (nil, state.resting, state.queue.count)
        }
        self.queueGauge.record(depth)
        if let refusal {
            self.refusedCounter.increment()
            throw refusal
        }
        resting?.give(())
    }

    private static func refusal(_ state: State) -> DatabaseError? {
        if state.isStopping { return .unavailable("the event writer is stopping") }
        switch state.phase {
        case .starting, .active:
            return state.queue.count < Self.queueMax ? nil : .unavailable("the event writer's queue is full")
        case .standby: return .notActiveWriter
        case .away(let reason): return .unavailable(reason)
        case .ended: return .unavailable("the event writer has ended")
        }
    }

    // MARK: life

    /// Connects, waits for the lock, writes; begins again when the connection is lost. A graceful shutdown writes what is queued.
    public func run() async throws {
        await withGracefulShutdownHandler {
            await withTaskExecutorPreference(Self.poller) { await self.serve() }
        } onGracefulShutdown: {
            let waits = self.state.withLockedValue { state -> [Pending<Void>?] in
                state.isStopping = true
                return [state.resting, state.pausing]
            }
            for wait in waits { wait?.give(()) }
        }
        self.enter(.ended)
    }

    private func serve() async {
        var backoff = Database.backoff
        while !self.mustEnd {
            do throws(DatabaseError) {
                let connection = try await Connection.open(self.database.configuration, poller: Self.poller)
                if try await self.prepare(connection) {
                    backoff.reset()
                    self.enter(.active)
                    let head = self.head ?? Position(epoch: 0, term: 0, seq: 0)
                    self.logger.notice(
                        "Event writer active", metadata: ["writer.term": "\(head.term)", "writer.seq": "\(head.seq)"])
                    await self.whenActive(head)
                    await self.work(connection)
                }
                await connection.close()
                if !self.mustEnd { self.enter(.starting) }
            } catch {
                self.logger.info("Event writer has no database", metadata: ["database.error": "\(error)"])
                self.enter(.away("\(error)"))
                await self.pause(backoff.pause()) { $0.isStopping }
            }
        }
    }

    private var mustEnd: Bool { Task.isCancelled || self.state.withLockedValue { $0.isStopping && $0.queue.isEmpty } }

    /// Changes the phase; one in which nothing is written fails what is queued.
    private func enter(_ phase: Phase) {
        let failed = self.state.withLockedValue { state -> [MutationJob] in
            state.phase = phase
            switch phase {
            case .starting, .active: return []
            case .standby, .away, .ended:
                if case .away = phase {} else { state.head = nil }
                defer { state.queue = [] }
                return state.queue
            }
        }
        let error =
            self.state.withLockedValue { Self.refusal($0) } ?? .unavailable("the event writer lost its connection")
        for job in failed { job.finish(error) }
    }

    /// Waits for a mutation, a shutdown or the next tick, but not if `isOver` already holds.
    private func rest(unless isOver: (State) -> Bool) async {
        let rest = Pending<Void>()
        let isOver = self.state.withLockedValue { state -> Bool in
            state.resting = rest
            return isOver(state)
        }
        if isOver { return }
        await withTaskCancellationHandler {
            await rest.value()
        } onCancel: {
            rest.give(())
        }
    }

    /// Waits before something is tried again, but not if `isOver` already holds. A shutdown ends it early; mutations do not, or
    /// each would be an attempt of its own while Postgres is down.
    private func pause(_ time: Duration, unless isOver: (State) -> Bool) async {
        let pause = Pending<Void>()
        let isOver = self.state.withLockedValue { state -> Bool in
            state.pausing = pause
            return isOver(state)
        }
        if isOver { return }
        await withTaskCancellationHandler {
            async let _: Void = pause.give((), after: time)
            await pause.value()
        } onCancel: {
            pause.give(())
        }
    }

    /// Ends rests, once a second, until it is cancelled. A timer for each rest would fire for each write.
    private func tick() async {
        // `try?`: a cancelled sleep ends the loop.
        while (try? await Task.sleep(for: .seconds(1))) != nil { self.state.withLockedValue { $0.resting }?.give(()) }
    }

    /// Waits for the migrations and for the lock, then begins a term. `false`: we are to end.
    private func prepare(_ connection: Connection) async throws(DatabaseError) -> Bool {
        let patience = ContinuousClock.now + .seconds(5)
        while !self.database.isMigrated {
            if self.mustEnd { return false }
            guard ContinuousClock.now < patience else { throw .unavailable("migrations are pending") }
            await self.pause(.milliseconds(100)) { $0.isStopping && $0.queue.isEmpty }
        }
        let key = self.database.configuration.lockKey("event-writer")
        while try await connection.run("SELECT pg_try_advisory_lock(\(key)) AS held").first?.decode(
            "held", as: Bool.self) != true
        {
            self.enter(.standby)
            if self.mustEnd { return false }
            await self.pause(.milliseconds(500)) { $0.isStopping }
        }
        _ = try await connection.run(
            "INSERT INTO event_head (epoch, seq) VALUES (\(Int64.random(in: 1...Int64.max)), 0) ON CONFLICT DO NOTHING")
        let head = try await EventTerms.begin(at: .now, on: connection)
        let last = try await connection.run(LogStatement.lastLogged.query).first?
            .decode("logged", as: Timestamp?.self)
        self.state.withLockedValue { state in
            state.head = head
            state.clock = LogClock(last: last ?? nil)
        }
        return true
    }

    // MARK: work

    private func work(_ connection: Connection) async {
        var partitions = LogPartitions()
        var nextDuty = ContinuousClock.now
        // Something is written, or once a second the connection is looked at.
        async let _: Void = self.tick()
        while !self.mustEnd, await connection.check() {
            if ContinuousClock.now >= nextDuty {
                await self.maintain(&partitions, connection)
                nextDuty = ContinuousClock.now + .seconds(3600)
            }
            let jobs = self.takeBatch()
            if jobs.isEmpty {
                await self.rest { $0.isStopping || !$0.queue.isEmpty }
            } else {
                await self.write(jobs, &partitions, connection)
            }
        }
    }

    private func takeBatch() -> [MutationJob] {
        self.state.withLockedValue { state in
            let jobs = Array(state.queue.prefix(Self.batchMax))
            state.queue.removeFirst(jobs.count)
            return jobs
        }
    }

    /// Partitions for today and tomorrow, and none from before the retention.
    private func maintain(_ partitions: inout LogPartitions, _ connection: Connection) async {
        do {
            let today = LogPartitions.day(of: .now)
            for day in today...today + 1 { try await partitions.ensure(day, on: connection) }
            let oldest = Timestamp.now - self.retention
            let dropped = try await partitions.drop(before: oldest, on: connection)
            if dropped > 0 {
                self.logger.info("Dropped old event log partitions", metadata: ["log.partitions": "\(dropped)"])
            }
            try await EventTerms.drop(before: oldest, on: connection)
        } catch {
            self.logger.warning("Event log maintenance failed", metadata: ["database.error": "\(error)"])
        }
    }

    private func write(_ jobs: [MutationJob], _ partitions: inout LogPartitions, _ connection: Connection) async {
        let start = ContinuousClock.now
        let moment = self.state.withLockedValue { $0.clock.next(at: .now) }
        var batch = EventBatch()
        do {
            try await batch.stage(jobs, at: moment, partitions: &partitions, on: connection)
            try await self.commit(&batch, at: moment, on: connection)
        } catch {
            partitions.forget()
            // `try?`: a connection on which even this fails is closed, and the server rolls back.
            _ = try? await connection.rollBack()
            for job in jobs { job.finish(error) }
            return
        }
        if let last = batch.events.last {
            self.state.withLockedValue { $0.head = last.position }
            self.eventCounter.increment(by: batch.events.count)
            await self.publish(batch.events)
        }
        self.commitTimer.recordNanoseconds(Int64((ContinuousClock.now - start) / .nanoseconds(1)))
        for job in batch.survivors { job.finish(nil) }
    }

    private func commit(
        _ batch: inout EventBatch, at moment: Timestamp, on connection: Connection
    ) async throws(DatabaseError) {
        do throws(DatabaseError) {
            let (rows, command) = try await connection.commit(after: batch.insertion(at: moment))
            guard command == "COMMIT" else {
                throw .query(sqlState: "25P02", message: "a failed statement was ignored")
            }
            guard !batch.events.isEmpty else { return }
            guard let row = rows.first else { throw .decoding("event_head is empty") }
            batch.number(upTo: try Position(row), self.publisher)
        } catch {
            // A refusal on a connection that lives is a rollback; only a lost one leaves a question.
            if await connection.isOpen { throw error }
            guard let transaction = await connection.transaction else { throw error }
            switch await self.hasCommitted(transaction, batch.events) {
            case true?:
                self.logger.notice("A transaction whose COMMIT was lost had committed")
                // Nobody else has written since: we hold the lock.
                guard var last = self.head else { throw .outcomeUnknown("the end of the log is not known") }
                last.seq += UInt64(batch.events.count)
                batch.number(upTo: last, self.publisher)
            case false?: throw .unavailable("the connection was lost before the commit")
            case nil: throw .outcomeUnknown("the connection was lost during the commit")
            }
        }
    }

    /// Asks the server, once it is there again, what became of a transaction; `nil` if it cannot be found out in time.
    ///
    /// After a failover the transaction's number may be that of another one, so its events have to be in the log as well.
    private func hasCommitted(_ transaction: String, _ events: [Event]) async -> Bool? {
        let end = Int64(bitPattern: (self.head?.seq ?? 0) + UInt64(events.count))
        let deadline = ContinuousClock.now + Self.resolveMax
        while ContinuousClock.now < deadline, !Task.isCancelled {
            // `try?`: whatever fails here is tried again until the deadline.
            if let connection = try? await Connection.open(self.database.configuration) {
                let rows = try? await connection.run(LogStatement.outcome(of: transaction, lastSeq: end).query)
                await connection.close()
                switch try? rows?.first?.decode("status", as: String?.self) {
                case "committed":
                    guard let event = events.last else { return true }
                    return (try? rows?.first?.decode("last", as: String?.self)) == event.id.text
                case "aborted": return false
                default: break
                }
            }
            await self.pause(.milliseconds(200)) { _ in false }
        }
        return nil
    }
}
