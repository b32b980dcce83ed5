internal import Events

/// One queued mutation and its caller.
struct MutationJob: Sendable {
    let run: @Sendable (Mutation) async throws -> Void
    /// Answers the caller; only the first answer counts.
    let finish: @Sendable ((any Error)?) -> Void
}

/// A batch of mutations in one transaction, up to its COMMIT.
struct EventBatch {
    private(set) var survivors: [MutationJob] = []
    private(set) var events: [Event] = []
    /// The transaction's number, if it changed anything; `pg_xact_status` knows it after a lost COMMIT.
    private(set) var transaction: String?

    /// Runs the bodies and writes their events. A body that fails alone is answered; what throws here fails the whole batch.
    mutating func stage(
        _ jobs: [MutationJob], at moment: Timestamp, publisher: ServiceName, partitions: inout LogPartitions,
        on connection: Connection
    ) async throws {
        try await connection.execute("BEGIN")
        for job in jobs { try await self.stage(job, isAlone: jobs.count == 1, on: connection) }
        if self.events.isEmpty {
            self.transaction = try await connection.run("SELECT pg_current_xact_id_if_assigned()::text AS xid").first?
                .decode("xid")
        } else {
            try await partitions.ensure(LogPartitions.day(of: moment), on: connection)
            try await self.number(publisher, on: connection)
            try await self.insert(at: moment, on: connection)
        }
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

    /// Takes a block of `seq` and gives each event its own.
    private mutating func number(_ publisher: ServiceName, on connection: Connection) async throws(DatabaseError) {
        let count = self.events.count
        let rows = try await connection.run(
            "UPDATE event_head SET seq = seq + \(count) RETURNING epoch, seq, pg_current_xact_id()::text AS xid")
        guard let row = rows.first else { throw .decoding("event_head is empty") }
        let last = try Position(row)
        self.transaction = try row.decode("xid")
        for index in self.events.indices {
            self.events[index].publisher = publisher
            self.events[index].position = Position(epoch: last.epoch, seq: last.seq - UInt64(count - 1 - index))
        }
    }

    private func insert(at moment: Timestamp, on connection: Connection) async throws(DatabaseError) {
        _ = try await connection.run(
            """
            INSERT INTO event_log (seq, id, type, tenant, room, time, logged, data)
            SELECT e.seq, e.id, e.type, e.tenant, e.room, timestamptz 'epoch' + e.time * interval '1 millisecond', \(moment), e.data
            FROM unnest(
                \(self.events.map { Int64(bitPattern: $0.position?.seq ?? 0) }), \(self.events.map(\.id.text)),
                \(self.events.map(\.type.name)), \(self.events.map(\.tenant)), \(self.events.map(\.room)),
                \(self.events.map(\.time.milliseconds)), \(self.events.map { String(decoding: $0.data, as: UTF8.self) })
            ) AS e(seq, id, type, tenant, room, time, data)
            """)
    }
}
