import Events
import Foundation
import NIOConcurrencyHelpers
import TestSupport
import Testing

/// Auth and one other service: the real executables on a database of their own, for tests that need no gateway.
final class LoneService: Sendable {
    struct Failure: Error { let message: String }

    /// Why these tests may be skipped.
    static let isEnabled = ProcessInfo.processInfo.environment["CROSSPOINT_INTEGRATION"] == "1"
    static let reason: Comment = "starts real processes: ./crosspoint test"

    private let name: ServiceName
    private let port: Int
    private let authPort: Int
    private let environment: [String: String]
    private let ownerKey: String
    private let processes = NIOLockedValueBox<[ServiceName: Process]>([:])

    private init(_ name: ServiceName, offset: Int, database: String, directory: URL) async throws {
        let base = try await Self.freeBase(offsets: [20, offset])
        self.name = name
        self.port = base + offset
        self.authPort = base + 20
        self.ownerKey = "xp_" + Self.hexadecimal()
        self.environment = [
            "DATABASE_URL": database, "PORTS_BASE": "\(base)",
            "AUTH_OWNER_KEY_FILE": directory.appending(path: "owner.key").path,
            "AUTH_SECRETS_KEY_FILE": directory.appending(path: "secrets.key").path,
        ]
        try Data(self.ownerKey.utf8).write(to: directory.appending(path: "owner.key"))
        try Data(Self.hexadecimal().utf8).write(to: directory.appending(path: "secrets.key"))
    }

    /// - Parameter offset: the service's place after `ports.base`.
    static func with(_ name: ServiceName, offset: Int, _ body: (LoneService) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "crosspoint-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        // What is left is the system's to clean.
        defer { try? FileManager.default.removeItem(at: directory) }
        try await PostgresFixture.withDatabase { database in
            let service = try await LoneService(name, offset: offset, database: database, directory: directory)
            defer {
                for process in service.processes.withLockedValue({ $0 }).values {
                    kill(process.processIdentifier, SIGKILL)
                }
            }
            try service.start(.auth)
            try service.start(name)
            try await service.untilReady()
            try await body(service)
        }
    }

    /// Ends the service as a crash would, and starts it again.
    func restart() async throws {
        guard let process = self.processes.withLockedValue({ $0[self.name] }) else {
            throw Failure(message: "not started")
        }
        kill(process.processIdentifier, SIGKILL)
        try await Self.until("\(self.name) is gone") { !process.isRunning }
        try self.start(self.name)
        try await self.untilReady()
    }

    /// A new access token.
    func token(scope: String, tenant: String = Principal.defaultTenant, stations: [String]? = nil) async throws
        -> String
    {
        var body: [String: JSON] = ["type": "jwt", "scope": .string(scope), "tenant": .string(tenant)]
        body["stations"] = stations.map { .array($0.map(JSON.string)) }
        let (status, answer) = try await Self.call(
            "POST", self.authPort, "/v1/tokens", token: self.ownerKey, body: JSON.object(body).bytes)
        guard status == 201, let token = answer["token"]?.string else { throw Failure(message: "no token: \(answer)") }
        return token
    }

    /// One request to the service. An answer without a body is null.
    func call(_ method: String, _ path: String, token: String? = nil, _ body: JSON? = nil) async throws -> (
        status: Int, body: JSON
    ) {
        try await Self.call(method, self.port, path, token: token, body: body?.bytes)
    }

    func call(_ method: String, _ path: String, token: String? = nil, bytes: [UInt8]) async throws -> (
        status: Int, body: JSON
    ) {
        try await Self.call(method, self.port, path, token: token, body: bytes)
    }

    /// The `data` of the events in the service's log, in order.
    func events(_ type: EventType, room: String, token: String) async throws -> [JSON] {
        let (status, answer) = try await self.call("GET", "/v1/events?type=\(type)&room=\(room)", token: token)
        guard status == 200, let events = answer["events"]?.array else {
            throw Failure(message: "no events: \(answer)")
        }
        return events.compactMap { $0["data"] }
    }

    private static func call(
        _ method: String, _ port: Int, _ path: String, token: String?, body: [UInt8]?
    ) async throws -> (status: Int, body: JSON) {
        var headers = [("content-type", "application/json")]
        if let token { headers.append(("authorization", "Bearer \(token)")) }
        let answer = try await HTTPClient.request(method, port: port, path: path, headers: headers, body: body ?? [])
        return (answer.status, JSON(parsing: answer.body) ?? .null)
    }

    private func start(_ service: ServiceName) throws {
        guard let products = ProcessInfo.processInfo.environment["CROSSPOINT_BIN_DIR"] else {
            throw Failure(message: "CROSSPOINT_BIN_DIR is not set")
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: products).appending(path: service.rawValue)
        process.environment = self.environment
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        self.processes.withLockedValue { $0[service] = process }
    }

    private func untilReady() async throws {
        try await Self.until("\(self.name) is ready") {
            // `try?`: while it does not listen yet, it is not ready.
            (try? await self.call("GET", "/readyz"))?.status == 200
        }
    }

    private static func until(_ what: String, _ condition: () async -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while await !condition() {
            guard ContinuousClock.now < deadline else { throw Failure(message: "waited in vain until \(what)") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// A block of ports in which nobody answers, below those that outgoing connections take.
    private static func freeBase(offsets: [Int]) async throws -> Int {
        for _ in 0..<100 {
            let base = Int.random(in: 150..<320) * 100
            var isFree = true
            for offset in offsets {
                // `try?`: that nobody answers is what is looked for.
                if (try? await Self.call("GET", base + offset, "/healthz", token: nil, body: nil)) != nil {
                    isFree = false
                }
            }
            if isFree { return base }
        }
        throw Failure(message: "no free ports")
    }

    private static func hexadecimal() -> String {
        (0..<64).map { _ in String(Int.random(in: 0..<16), radix: 16) }.joined()
    }
}
