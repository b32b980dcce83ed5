import Glibc
import TestSupport
import Testing

@testable import Database

@Suite(.enabled(if: PostgresFixture.isAvailable, "needs Postgres's server programs"))
struct DatabaseHostTests {
    @Test(
        arguments: [
            ("postgresql://one:5433,two/suite", [["host": "one", "port": "5433"], ["host": "two", "port": ""]]),
            ("postgresql:///suite?host=/run/one,/run/two", [["host": "/run/one"], ["host": "/run/two"]]),
            (
                "host=one,two port=5433 dbname=suite",
                [["host": "one", "port": "5433"], ["host": "two", "port": "5433"]]
            ),
            (
                "hostaddr=10.0.0.1,10.0.0.2 host=one,two",
                [["host": "one", "hostaddr": "10.0.0.1"], ["host": "two", "hostaddr": "10.0.0.2"]]
            ),
            // One host needs nothing of this, and what is wrong is for libpq to say.
            ("postgresql://one/suite", []), ("suite", []), ("host=one,two port=1,2,3", []), ("postgresql://[", []),
        ] as [(String, [[String: String]])])
    func `each host of a URL can be asked for alone`(url: String, hosts: [[String: String]]) {
        #expect(DatabaseHost.all(in: url).map(\.parameters) == hosts)
    }

    @Test func `a host that takes connections and does not answer is passed over, and so is one that only reads`()
        async throws
    {
        try await PostgresFixture.with { primary in
            try await primary.withStandby { standby in
                try await Self.withSilentServer { silent in
                    let hosts = PostgresFixture.url(of: [standby, primary])
                    let url = hosts.replacing("host=", with: "host=\(silent),")
                    let database = Database(DatabaseConfiguration(url: url, schema: "test"), logger: quiet)
                    try await running([{ try await database.run() }]) {
                        try await eventually("connected") { database.isReady }
                        let rows = try await database.query("SELECT pg_is_in_recovery() AS reads_only")
                        #expect(try rows.first?.decode("reads_only") == false)
                    }
                }
            }
        }
    }

    /// Runs `body` with a folder in which somebody listens as Postgres does, and never answers.
    private static func withSilentServer(_ body: (String) async throws -> Void) async throws {
        let folder = "/tmp/crosspoint-silent-\(getpid())"
        mkdir(folder, 0o755)
        defer { rmdir(folder) }
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = "\(folder)/.s.PGSQL.5432"
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        defer { unlink(path) }
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        try #require(isBound && listen(listener, 16) == 0)
        try await body(folder)
    }
}
