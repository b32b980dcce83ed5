/// Base backups, restores to a moment, and standbys: what an operator does with Postgres's own programs.
extension PostgresFixture {
    /// Runs `body` with a cluster that archives its WAL.
    public static func withArchive<R>(_ body: (PostgresFixture) async throws -> R) async throws -> R {
        // Both commands run in the folder of the data.
        try await Self.with(settings: ["archive_mode = on", "archive_command = 'cp %p ../archive/%f'"]) { postgres in
            try await Self.runAsServerUser(["/bin/mkdir", "\(postgres.directory)/archive"])
            return try await body(postgres)
        }
    }

    /// Makes a base backup of the running server, for `restore`.
    public func backUp() async throws { try await self.backUp(to: "\(self.directory)/base") }

    private func backUp(to directory: String, _ options: String...) async throws {
        try await Self.runAsServerUser(
            [
                "\(self.binaries)/pg_basebackup", "--host=\(self.directory)", "--username=\(Self.superuser)",
                "--pgdata=\(directory)", "--checkpoint=fast", "--no-sync",
            ] + options)
    }

    /// Returns the server's time: a moment to restore to, between what was committed before the call and what is committed after it.
    public func moment() async throws -> String { try await self.value("SELECT clock_timestamp()") }

    /// Replaces the stopped server's data by the base backup, applies what the archive has up to a moment, and starts the server, which
    /// goes on from there on a timeline of its own.
    public func restore(to moment: String) async throws {
        let script = #"cd "$1" && rm -rf data && cp -a base data && touch data/recovery.signal"#
        try await Self.runAsServerUser(["/bin/bash", "-c", script, "bash", self.directory])
        try await self.append(
            [
                "restore_command = 'cp ../archive/%f %p'", "recovery_target_time = '\(moment)'",
                "recovery_target_action = promote",
            ], to: "postgresql.auto.conf")
        try await self.start()
        try await self.waitUntilPrimary()
    }

    /// Runs `body` with an asynchronous standby, which has everything that was committed so far.
    public func withStandby<R>(_ body: (PostgresFixture) async throws -> R) async throws -> R {
        let standby = PostgresFixture(directory: try await Self.makeDirectory(), binaries: self.binaries)
        return try await standby.use { standby in
            try await self.backUp(to: "\(standby.directory)/data", "--write-recovery-conf")
            try await standby.start()
            return try await body(standby)
        }
    }

    /// Waits until a standby has applied everything that was committed before the call.
    public func waitUntilFollowed() async throws {
        let end = try await self.value("SELECT pg_current_wal_lsn()")
        try await Self.until("a standby has applied everything up to \(end)") {
            try await self.value("SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= '\(end)'") != "0"
        }
    }

    /// Cuts a standby off, as a broken network does: it never gets what its primary commits from now on.
    public func stopReceiving(from primary: PostgresFixture) async throws {
        try await self.append(["primary_conninfo = ''"], to: "postgresql.auto.conf")
        _ = try await self.value("SELECT pg_reload_conf()")
        try await Self.until("the standby receives nothing") {
            try await primary.value("SELECT count(*) FROM pg_stat_replication") == "0"
        }
    }

    /// Makes a standby a primary, and returns when it takes writes.
    public func promote() async throws {
        _ = try await self.value("SELECT pg_promote(wait => false)")
        try await self.waitUntilPrimary()
    }

    private func waitUntilPrimary() async throws {
        try await Self.until("the server takes writes") { try await self.value("SELECT pg_is_in_recovery()") == "f" }
    }

    /// Runs a query and returns its one value.
    private func value(_ sql: String) async throws -> String {
        try await Self.output(of: [
            "\(self.binaries)/psql", "--no-psqlrc", "--no-align", "--tuples-only", "--host=\(self.directory)",
            "--username=\(Self.superuser)", "--command=\(sql)",
        ])
    }

    /// The address of the default database at the first of these servers that takes writes.
    public static func url(of servers: [PostgresFixture]) -> String {
        let hosts = servers.map(\.directory).joined(separator: ",")
        return "postgresql:///\(Self.superuser)?host=\(hosts)&user=\(Self.superuser)"
    }
}
