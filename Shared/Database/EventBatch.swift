internal import Events

/// One queued mutation and its caller.
struct MutationJob: Sendable {
    let run: @Sendable (Mutation) async throws -> Void
    /// Answers the caller; only the first answer counts.
    let finish: @Sendable ((any Error)?) -> Void
}

/// A batch of mutations in one transaction.
struct EventBatch {
    private(set) var survivors: [MutationJob] = []
    private(set) var events: [Event] = []

    /// Runs the bodies. One that fails alone is answered; what throws here fails the whole batch.
    mutating func stage(
        _ jobs: [MutationJob], at moment: Timestamp, partitions: inout LogPartitions, on connection: Connection
    ) async throws {
        await connection.beginWithNext()
        for job in jobs { try await self.stage(job, isAlone: jobs.count == 1, on: connection) }
        let latest = moment + EventLog.timeLeadMax
        for index in self.events.indices where self.events[index].time > latest { self.events[index].time = latest }
        if !self.events.isEmpty { try await partitions.ensure(LogPartitions.day(of: moment), on: connection) }
    }

    private mutating func stage(_ job: MutationJob, isAlone: Bool, on connection: Connection) async throws {
        if !isAlone { await connection.armSavepoint() }
        let mutation = Mutation(connection)
        do {
            defer { mutation.end() }
            try await job.run(mutation)
            if await connection.isFailed {
                throw DatabaseError.query(sqlState: "25P02", message: "a failed statement was ignored")
            }
            self.events += try mutation.events()
        } catch {
            guard await connection.isOpen else { throw DatabaseError.unavailable("the connection was lost: \(error)") }
            if isAlone { throw error }
            try await connection.endSavepoint(rollback: true)
            return job.finish(error)
        }
        self.survivors.append(job)
        if !isAlone { try await connection.endSavepoint(rollback: false) }
    }

    /// Takes a block of `seq` and writes the events with it into the log; `nil` if there are none. It answers the last one's position.
    func insertion(at moment: Timestamp) -> Query? {
        guard !self.events.isEmpty else { return nil }
        return """
            WITH head AS (UPDATE event_head SET seq = seq + \(self.events.count) RETURNING epoch, term, seq),
            logged AS (
                INSERT INTO event_log (seq, id, type, tenant, room, time, logged, data)
                SELECT head.seq - \(self.events.count) + e.place, e.id, e.type, e.tenant, e.room,
                    timestamptz 'epoch' + e.time * interval '1 millisecond', \(moment), e.data
                FROM head, unnest(
                    \(self.events.map(\.id.text)), \(self.events.map(\.type.name)), \(self.events.map(\.tenant)),
                    \(self.events.map(\.room)), \(self.events.map(\.time.milliseconds)),
                    \(self.events.map { String(decoding: $0.data, as: UTF8.self) })
                ) WITH ORDINALITY AS e(id, type, tenant, room, time, data, place))
            SELECT epoch, term, seq FROM head
            """
    }

    /// Gives each event its place in the log, the last one `last`.
    mutating func number(upTo last: Position, _ publisher: ServiceName) {
        for index in self.events.indices {
            self.events[index].publisher = publisher
            self.events[index].position = Position(
                epoch: last.epoch, term: last.term, seq: last.seq - UInt64(self.events.count - 1 - index))
        }
    }
}
