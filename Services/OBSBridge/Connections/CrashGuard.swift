import Database
import Events

/// Remembers across restarts which OBS connections were on trial when the process ended, so that an OBS whose answers crash the process
/// is not connected for ever.
///
/// A connection is on trial from before its link is opened until the link has been up for `trialDuration`, or has ended while the process
/// goes on. A process that ends during a trial counts as a crash of that connection. After `crashesMax` crashes in a row the connection
/// stays stopped until an operator connects it again; a link that passes its trial sets the count back to zero.
///
/// Several connections may be on trial when the process ends. Each of them then has one crash, whatever it had before at most, and is tried
/// alone from then on: only a connection that was tried alone can reach the limit.
actor CrashGuard {
    static let crashesMax = 3
    static let trialDuration = Duration.seconds(30)

    private let writer: EventWriter
    /// Names this run of the process.
    private let run = "\(ULID())"
    /// Of each connection that has any.
    private var crashes: [String: Int] = [:]
    private var onTrial: Set<String> = []
    /// The connection with crashes that is on trial.
    private var aloneOnTrial: String?

    init(writer: EventWriter) { self.writer = writer }

    /// Counts the crashes of earlier runs. Called before the stored connections are opened.
    func load() async throws {
        let run = self.run
        self.crashes = try await self.writer.write { mutation in
            let tried = try await mutation.query(
                "SELECT id, crashes FROM connections WHERE tried_by IS NOT NULL AND tried_by <> \(run)")
            var counts: [String: Int] = [:]
            for row in tried { counts[try row.decode("id")] = try row.decode("crashes", as: Int.self) }
            for (id, count) in Self.counted(counts) {
                _ = try await mutation.query(
                    "UPDATE connections SET tried_by = NULL, crashes = \(count) WHERE id = \(id)")
            }
            var all: [String: Int] = [:]
            for row in try await mutation.query("SELECT id, crashes FROM connections WHERE crashes > 0") {
                all[try row.decode("id")] = try row.decode("crashes", as: Int.self)
            }
            return all
        }
    }

    /// Returns the counts after a run that ended while these connections were on trial.
    static func counted(_ tried: [String: Int]) -> [String: Int] {
        tried.mapValues { tried.count == 1 ? $0 + 1 : max($0, 1) }
    }

    /// Returns `false` if the process ended too often while the connection was tried.
    func permits(_ connection: String) -> Bool { self.crashes[connection, default: 0] < Self.crashesMax }

    /// Starts a trial, which is stored when this returns. A connection with crashes waits until no other one is on trial.
    /// - Throws: `CancellationError` if the task is cancelled while it waits.
    func begin(_ connection: String) async throws {
        while self.crashes[connection] != nil, self.aloneOnTrial != nil {
            try await Task.sleep(for: .milliseconds(200))
        }
        if self.crashes[connection] != nil { self.aloneOnTrial = connection }
        self.onTrial.insert(connection)
        let run = self.run
        // `try?`: a process that starts without the database connects nothing, so a crash can be missed once, not repeatedly.
        _ = try? await self.writer.write { mutation in
            try await mutation.query("UPDATE connections SET tried_by = \(run) WHERE id = \(connection)").count
        }
    }

    /// The link has been up for `trialDuration`.
    func pass(_ connection: String) async {
        guard self.leave(connection) else { return }
        await self.forgive(connection)
    }

    /// The attempt ended, and the process did not.
    func end(_ connection: String) async {
        guard self.leave(connection) else { return }
        // `try?`: without the database the trial stays stored, and counts if this run ends before the next one.
        _ = try? await self.writer.write { mutation in
            try await mutation.query("UPDATE connections SET tried_by = NULL WHERE id = \(connection)").count
        }
    }

    /// Sets the count back: somebody wants another attempt, or the link works.
    func forgive(_ connection: String) async {
        self.crashes[connection] = nil
        // `try?`: as above.
        _ = try? await self.writer.write { mutation in
            try await mutation.query("UPDATE connections SET tried_by = NULL, crashes = 0 WHERE id = \(connection)")
                .count
        }
    }

    private func leave(_ connection: String) -> Bool {
        if self.aloneOnTrial == connection { self.aloneOnTrial = nil }
        return self.onTrial.remove(connection) != nil
    }
}
