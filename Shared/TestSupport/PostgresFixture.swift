internal import Foundation
internal import NIOConcurrencyHelpers

/// A Postgres of the tests' own: a cluster in a temporary directory, on a Unix socket only, gone with the test process.
public final class PostgresFixture: Sendable {
    public enum Failure: Error { case noBinaries, failed(String), notReady(log: String) }

    let directory: String
    let binaries: String
    /// The shell that holds the server and ends it when our end of its standard input closes, however we end.
    private let keeper = NIOLockedValueBox<(process: Process, input: Pipe)?>(nil)

    static let superuser = "postgres"

    /// Whether this machine has a Postgres server to start.
    public static var isAvailable: Bool { Self.findBinaries() != nil }

    init(directory: String, binaries: String) {
        self.directory = directory
        self.binaries = binaries
    }

    /// Runs `body` with a cluster of its own, started, and ends it. For tests that stop and start the server.
    /// - Parameter settings: lines of its `postgresql.conf`.
    public static func with<R>(
        settings: [String] = [], _ body: (PostgresFixture) async throws -> R
    ) async throws -> R {
        try await Self.make(settings: settings).use(body)
    }

    /// Ends the cluster after the body, however it ends.
    func use<R>(_ body: (PostgresFixture) async throws -> R) async throws -> R {
        let fixture = self
        do {
            let value = try await body(fixture)
            await fixture.end()
            return value
        } catch {
            await fixture.end()
            throw error
        }
    }

    /// Runs `body` with the address of a fresh database in the cluster that all tests of the process share.
    public static func withDatabase<R>(_ body: (String) async throws -> R) async throws -> R {
        let fixture = try await Self.shared.value
        let name = "test_\(UInt64.random(in: 0...UInt64.max))"
        return try await body(try await fixture.createDatabase(name))
    }

    /// Started by the first who asks; its keeper ends it with the process.
    private static let shared = Task { try await PostgresFixture.make() }

    /// The address of the default database.
    public var url: String { self.url(of: Self.superuser) }

    /// The Unix socket on which the server listens.
    public var socket: String { "\(self.directory)/.s.PGSQL.5432" }

    public func url(of database: String) -> String {
        "postgresql:///\(database)?host=\(self.directory)&user=\(Self.superuser)"
    }

    public func createDatabase(_ name: String) async throws -> String {
        try await Self.run([
            "\(self.binaries)/createdb", "--host=\(self.directory)", "--username=\(Self.superuser)", name,
        ])
        return self.url(of: name)
    }

    /// Starts the stopped server and waits until it takes connections.
    public func start() async throws {
        let script = """
            trap '' INT TERM HUP
            "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=600 > "$2/log" 2>&1 &
            server=$!
            read -r line
            if [ "$line" = crash ]; then kill -QUIT "$server"; else kill -INT "$server"; fi
            wait "$server"
            [ -n "$line" ] || rm -rf "$2"
            """
        let input = Pipe()
        // Not sh: we spawn from a thread that blocks SIGCHLD, which a child inherits, and dash waits for that signal.
        let process = Self.process(
            Self.asServerUser + ["/bin/bash", "-c", script, "bash", self.binaries, self.directory])
        process.standardInput = input
        try process.run()
        self.keeper.withLockedValue { $0 = (process, input) }
        try await self.waitUntilReady()
    }

    /// Stops the server at once, cutting its connections; the data stay.
    public func stop() async throws { try await self.release(Data("stop\n".utf8)) }

    /// Ends the server as a power cut would: nothing is written or sent to a standby any more.
    public func crash() async throws { try await self.release(Data("crash\n".utf8)) }

    private func end() async {
        // `try?`: the directory of a server that was stopped is all there is left.
        try? await self.release(Data())
        try? FileManager.default.removeItem(atPath: self.directory)
    }

    private func release(_ words: Data) async throws {
        let keeper = self.keeper.withLockedValue { keeper in
            defer { keeper = nil }
            return keeper
        }
        guard let keeper else { return }
        if !words.isEmpty { try keeper.input.fileHandleForWriting.write(contentsOf: words) }
        try keeper.input.fileHandleForWriting.close()
        try await Self.until("the server has stopped") { !keeper.process.isRunning }
    }

    private func waitUntilReady() async throws {
        do {
            try await Self.until("the server is ready") {
                // The last line of the server's lock file says what it is doing.
                let status = try? String(contentsOfFile: "\(self.directory)/data/postmaster.pid", encoding: .utf8)
                return status?.split(separator: "\n").last?.hasPrefix("ready") ?? false
            }
        } catch {
            // `try?`: without a log there is nothing more to say.
            throw Failure.notReady(log: (try? String(contentsOfFile: "\(self.directory)/log", encoding: .utf8)) ?? "")
        }
    }

    private static func make(settings: [String] = []) async throws -> PostgresFixture {
        guard let binaries = Self.findBinaries() else { throw Failure.noBinaries }
        let directory = try await Self.makeDirectory()
        try await Self.run(
            Self.asServerUser + [
                "\(binaries)/initdb", "--pgdata=\(directory)/data", "--username=\(Self.superuser)", "--auth=trust",
                "--no-sync",
                "--encoding=UTF8", "--no-locale",
            ])
        let fixture = PostgresFixture(directory: directory, binaries: binaries)
        try await fixture.append(settings, to: "postgresql.conf")
        try await fixture.start()
        return fixture
    }

    static func makeDirectory() async throws -> String {
        // Short: a Unix socket's path has room for about 100 bytes.
        let directory = "/tmp/crosspoint-pg-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try await Self.run(Self.asServerUser + ["/bin/mkdir", "--mode=0755", directory])
        return directory
    }

    /// Adds lines to a file of the cluster's data.
    func append(_ lines: [String], to file: String) async throws {
        guard !lines.isEmpty else { return }
        let script = #"printf '%s\n' "${@:2}" >> "$1""#
        try await Self.runAsServerUser(["/bin/bash", "-c", script, "bash", "\(self.directory)/data/\(file)"] + lines)
    }

    static func runAsServerUser(_ command: [String]) async throws { try await Self.run(Self.asServerUser + command) }

    /// Postgres refuses to run as root.
    private static var asServerUser: [String] { geteuid() == 0 ? ["/sbin/runuser", "-u", "postgres", "--"] : [] }

    /// The newest version that Debian's layout holds.
    private static func findBinaries() -> String? {
        let root = "/usr/lib/postgresql"
        // `try?`: no such directory means no Postgres.
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return versions.compactMap { Int($0) }.sorted(by: >).map { "\(root)/\($0)/bin" }
            .first { FileManager.default.isExecutableFile(atPath: "\($0)/initdb") }
    }

    private static func process(_ command: [String]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        return process
    }

    static func run(_ command: [String]) async throws { try await Self.run(command, output: FileHandle.nullDevice) }

    /// Runs a command and returns what it prints, without the end of the line. It must print something, and little.
    static func output(of command: [String]) async throws -> String {
        let output = Pipe()
        try await Self.run(command, output: output)
        // Not to the end of the file: a process that another test starts meanwhile may have inherited the other end.
        let text = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    private static func run(_ command: [String], output: Any) async throws {
        let process = Self.process(command)
        process.standardOutput = output
        let status = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<Int32, any Error>) in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        guard status == 0 else { throw Failure.failed(command.joined(separator: " ")) }
    }

    static func until(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while try await !condition() {
            guard ContinuousClock.now < deadline else { throw Failure.failed("waited in vain until \(what)") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
