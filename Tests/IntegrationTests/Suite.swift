import Events
import Foundation
import NIOConcurrencyHelpers
import NIOSSL
import TestSupport
import Testing

/// Real processes of the suite on free ports, with a database of their own: what a test talks to from outside.
final class Suite: Sendable {
    struct Failure: Error, CustomStringConvertible { let description: String }

    /// Set by `./crosspoint test`; a bare `swift test` skips these tests.
    static let isEnabled = ProcessInfo.processInfo.environment["CROSSPOINT_INTEGRATION"] == "1"
    static let reason: Comment = "runs real processes: ./crosspoint test"

    let base: Int
    private let environment: [String: String]
    /// With it clients speak TLS at the edge.
    private let trust: NIOSSLContext?
    private let home: URL
    private let executables: URL
    /// For tests that speak on the bus themselves.
    let bus: TestBus
    private let processes = NIOLockedValueBox<[String: Running]>([:])

    // Safe: `Process` is used by one test at a time, and only to signal and to wait.
    private struct Running: @unchecked Sendable { let process: Process }

    /// Starts the services and `gateways` gateway replicas, waits until all are ready, and ends them after the body.
    /// - Parameter tls: whose certificate the gateways show; clients trust it.
    static func with(
        _ services: [ServiceName] = ServiceName.publishers, gateways: Int = 1, databaseURL: String? = nil,
        environment: [String: String] = [:], tls: TestAuthority? = nil, _ body: (Suite) async throws -> Void
    ) async throws {
        func run(_ url: String) async throws {
            let suite = try Suite(databaseURL: url, environment: environment, tls: tls)
            try await suite.use {
                for service in services { try suite.start(service) }
                for number in 0..<gateways { try suite.startGateway(number) }
                for service in services { try await suite.waitUntilReady(service) }
                for number in 0..<gateways { try await suite.waitUntilGatewayHears(services, number) }
                try await body(suite)
            }
        }
        try await Turnstile.pass {
            if let databaseURL { return try await run(databaseURL) }
            try await PostgresFixture.withDatabase(run)
        }
    }

    init(databaseURL: String, environment: [String: String] = [:], tls: TestAuthority? = nil) throws {
        self.base = try FreePorts.block()
        self.home = FileManager.default.temporaryDirectory.appending(path: "crosspoint-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: self.home, withIntermediateDirectories: true)
        try Self.hex(64).write(to: self.home.appending(path: "secrets.key"), atomically: true, encoding: .utf8)
        try Self.hex(64).write(to: self.home.appending(path: "obs.key"), atomically: true, encoding: .utf8)
        try "xp_\(Self.hex(64))".write(to: self.home.appending(path: "owner.key"), atomically: true, encoding: .utf8)
        try Self.hex(64).write(to: self.home.appending(path: "reconnect.key"), atomically: true, encoding: .utf8)
        self.bus = try TestBus(in: self.home)
        let built = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
        self.executables = ProcessInfo.processInfo.environment["CROSSPOINT_BIN_DIR"].map { URL(filePath: $0) } ?? built
        self.trust = try tls.map { try NIOSSLContext(configuration: $0.clientSettings()) }
        self.environment = ProcessInfo.processInfo.environment.merging(
            [
                "DATABASE_URL": databaseURL, "PORTS_BASE": "\(self.base)", "LOG_LEVEL": "debug",
                // Many suites share one cluster.
                "DATABASE_CONNECTIONS": "2",
                // In a debug build a hash of the usual cost takes two seconds.
                "AUTH_PASSWORD_COST": "10",
                "AUTH_OWNER_KEY_FILE": self.home.appending(path: "owner.key").path,
                "AUTH_SECRETS_KEY_FILE": self.home.appending(path: "secrets.key").path,
                "OBS_BRIDGE_SECRETS_KEY_FILE": self.home.appending(path: "obs.key").path,
                "AUTH_CACHE_DIR": self.home.appending(path: "cache").path,
                "BUS_PEERS_FILE": self.bus.peersFile.path,
                "GATEWAY_RECONNECT_KEY_FILE": self.home.appending(path: "reconnect.key").path,
                // Astro clients that a test leaves behind are not waited for.
                "GATEWAY_DRAIN_SECONDS": "2",
            ]
        ) { $1 }.merging(tls?.environment.merging(["HTTP_ANONYMOUS": "true"]) { $1 } ?? [:]) { $1 }
            .merging(environment) { $1 }
    }

    private static func hex(_ digits: Int) -> String {
        String((0..<digits).compactMap { _ in "0123456789abcdef".randomElement() })
    }

    /// Ends the processes after the body, however it ends.
    func use(_ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch {
            await self.stop()
            throw error
        }
        await self.stop()
    }

    // MARK: processes

    func start(_ service: ServiceName, environment: [String: String] = [:]) throws {
        try self.launch(
            service.rawValue, name: service.rawValue,
            ["BUS_KEY_FILE": self.bus.keyFile(service.busRole).path].merging(environment) { $1 })
    }

    /// Replica 0 has the suite's own ports; the others stand 100 above each other.
    /// - Parameters:
    ///   - descriptorsMax: how many descriptors it may have; `nil`: as many as it wants.
    ///   - standardOutput: where it writes its log; `nil`: into a file.
    func startGateway(
        _ number: Int = 0, environment: [String: String] = [:], descriptorsMax: Int? = nil,
        standardOutput: FileHandle? = nil
    ) throws {
        try self.launch(
            "gateway", name: "gateway-\(number)", descriptorsMax: descriptorsMax, standardOutput: standardOutput,
            [
                "GATEWAY_EDGE_PORT": "\(self.edgePort(gateway: number))", "GATEWAY_INSTANCE": "gateway-\(number)",
                "GATEWAY_HTTP_PORT": "\(self.operatorsPort(gateway: number))",
                "BUS_KEY_FILE": self.bus.keyFile(.gateway).path,
            ].merging(environment) { $1 })
    }

    private func launch(
        _ executable: String, name: String, descriptorsMax: Int? = nil, standardOutput: FileHandle? = nil,
        _ more: [String: String]
    ) throws {
        let process = Process()
        let program = self.executables.appending(path: executable)
        if let descriptorsMax {
            process.executableURL = URL(filePath: "/usr/bin/prlimit")
            process.arguments = ["--nofile=\(descriptorsMax):\(descriptorsMax)", program.path]
        } else {
            process.executableURL = program
        }
        process.environment = self.environment.merging(more) { $1 }
        let log = self.home.appending(path: "\(name).log")
        if !FileManager.default.fileExists(atPath: log.path) { try Data().write(to: log) }
        let handle = try FileHandle(forWritingTo: log)
        try handle.seekToEnd()
        process.standardOutput = standardOutput ?? handle
        process.standardError = handle
        try process.run()
        let running = Running(process: process)
        self.processes.withLockedValue { $0[name] = running }
    }

    func pid(_ name: String) throws -> Int32 {
        guard let running = self.processes.withLockedValue({ $0[name] }) else {
            throw Failure(description: "no process \(name)")
        }
        return running.process.processIdentifier
    }

    func signal(_ name: String, _ signal: Int32) throws { kill(try self.pid(name), signal) }

    /// Stops a process, and waits until it runs no more: until one of its threads has taken the signal all of them run on.
    func pause(_ name: String) async throws {
        let tasks = "/proc/\(try self.pid(name))/task"
        try self.signal(name, SIGSTOP)
        try await Self.eventually("\(name) is stopped") {
            // `try?`: a thread that has ended meanwhile runs no more either.
            try FileManager.default.contentsOfDirectory(atPath: tasks).allSatisfy { task in
                let status = try? String(contentsOfFile: "\(tasks)/\(task)/stat", encoding: .utf8)
                // What stands in parentheses is the thread's name.
                return status?.split(separator: ") ").last?.hasPrefix("T") ?? true
            }
        }
    }

    /// Ends a process like a power cut, and waits until it is gone.
    func kill9(_ service: ServiceName) async throws { try await self.end(service.rawValue, SIGKILL) }

    /// Sends a signal that ends the process; returns its exit status (or the signal's number).
    @discardableResult
    func end(_ name: String, _ signal: Int32) async throws -> Int32 {
        guard let running = self.processes.withLockedValue({ $0.removeValue(forKey: name) }) else {
            throw Failure(description: "no process \(name)")
        }
        kill(running.process.processIdentifier, signal)
        try await Self.eventually("\(name) ends", within: .seconds(15)) { !running.process.isRunning }
        return running.process.terminationStatus
    }

    func isRunning(_ name: String) -> Bool {
        self.processes.withLockedValue { $0[name] }?.process.isRunning ?? false
    }

    func stop() async {
        let names = self.processes.withLockedValue {
            $0.keys.sorted { $0.hasPrefix("gateway") && !$1.hasPrefix("gateway") }
        }
        for name in names { kill((try? self.pid(name)) ?? 0, SIGCONT) }
        for name in names where (try? await self.end(name, SIGTERM)) == nil {
            Issue.record("\(name) did not end after SIGTERM")
        }
        try? FileManager.default.removeItem(at: self.home)
        FreePorts.release(self.base)
    }

    func log(_ name: String) -> String {
        (try? String(contentsOf: self.home.appending(path: "\(name).log"), encoding: .utf8)) ?? ""
    }

    // MARK: ports

    func port(_ service: ServiceName) -> Int { self.base + Self.offset(service) }
    func edgePort(_ dialect: Int = 0, gateway: Int = 0) -> Int { self.base + 100 * gateway + dialect }
    func operatorsPort(gateway: Int = 0) -> Int { self.base + 100 * gateway + 10 }

    private static func offset(_ service: ServiceName) -> Int {
        10 * (1 + (ServiceName.allCases.firstIndex(of: service) ?? 0))
    }

    // MARK: waiting

    static func eventually(
        _ what: String, within time: Duration = .seconds(30), _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + time
        while ContinuousClock.now < deadline {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(25))
        }
        throw Failure(description: "not within \(time): \(what)")
    }

    /// Waits until a service has everything that it needs, but for services that were not started.
    func waitUntilReady(_ service: ServiceName, within time: Duration = .seconds(60)) async throws {
        var absent = ServiceName.publishers.filter { !self.isRunning($0.rawValue) }.map { "bus.\($0.rawValue)" }
        if !self.isRunning(ServiceName.auth.rawValue) { absent.append("auth-keys") }
        do {
            try await Self.eventually("\(service.rawValue) is ready", within: time) {
                let dependencies = await self.readiness(port: self.port(service))
                return !dependencies.isEmpty && dependencies.allSatisfy { $0.value || absent.contains($0.key) }
            }
        } catch {
            throw Failure(description: "\(error)\n\(self.log(service.rawValue).suffix(3000))")
        }
    }

    /// What `/readyz` says.
    struct Readiness: Decodable {
        var ready = false
        var degraded: [String] = []
        var dependencies: [String: Bool] = [:]
        var clock_skew_seconds: [String: Double]?
    }

    static func readyz(port: Int) async -> Readiness {
        guard let answer = try? await HTTPClient.request("GET", port: port, path: "/readyz") else { return Readiness() }
        return (try? JSON.decode(Readiness.self, from: answer.body)) ?? Readiness()
    }

    func readiness(port: Int) async -> [String: Bool] { await Self.readyz(port: port).dependencies }

    func waitUntilGatewayHears(_ services: [ServiceName], _ number: Int = 0) async throws {
        do {
            try await Self.eventually("gateway \(number) hears \(services)", within: .seconds(60)) {
                let dependencies = await self.readiness(port: self.operatorsPort(gateway: number))
                let keys = !services.contains(.auth) || dependencies["auth-keys"] == true
                return !dependencies.isEmpty && keys
                    && services.allSatisfy { dependencies["bus.\($0.rawValue)"] == true }
            }
        } catch {
            throw Failure(description: "\(error)\n\(self.log("gateway-\(number)").suffix(3000))")
        }
    }

    // MARK: talking

    struct Answer {
        let status: Int
        let headers: [String: String]
        let body: JSON

        subscript(key: String) -> JSON? { self.body[key] }
    }

    @discardableResult
    func request(
        _ method: String, _ service: ServiceName, _ path: String, _ body: JSON? = nil, token: String? = nil,
        headers: [(String, String)] = []
    ) async throws -> Answer {
        var headers = headers
        if body != nil { headers.append(("Content-Type", "application/json")) }
        if let token { headers.append(("Authorization", "Bearer \(token)")) }
        let answer = try await HTTPClient.request(
            method, port: self.port(service), path: path, headers: headers, body: body?.bytes ?? [])
        return Answer(status: answer.status, headers: answer.headers, body: JSON(parsing: answer.body) ?? .null)
    }

    /// Puts another key where auth looks for the owner's at its next start.
    func replaceOwnerKey() throws {
        try Self.hex(64).write(to: self.home.appending(path: "obs.key"), atomically: true, encoding: .utf8)
        try "xp_\(Self.hex(64))".write(to: self.home.appending(path: "owner.key"), atomically: true, encoding: .utf8)
    }

    var ownerKey: String {
        get throws { try String(contentsOf: self.home.appending(path: "owner.key"), encoding: .utf8) }
    }

    /// A credential made through auth's own API.
    func token(
        _ type: String = "jwt", tenant: String? = nil, scope: String? = nil, tier: String? = nil, seconds: Int = 600
    ) async throws -> String {
        var body: [String: JSON] = ["type": .string(type), "ttl_seconds": .integer(Int64(seconds))]
        if let tenant { body["tenant"] = .string(tenant) }
        if let scope { body["scope"] = .string(scope) }
        if let tier { body["tier"] = .string(tier) }
        let answer = try await self.request("POST", .auth, "/v1/tokens", .object(body), token: try self.ownerKey)
        guard answer.status == 201, let token = answer["token"]?.string else {
            throw Failure(description: "no token: \(answer.status) \(answer.body)")
        }
        return token
    }

    func connect(
        _ dialect: Int, _ path: String, headers: [(String, String)] = [], gateway: Int = 0
    ) async throws -> WebSocketClient {
        try await WebSocketClient.connect(
            port: self.edgePort(dialect, gateway: gateway), path: path, headers: headers, tls: self.trust)
    }
}

/// Blocks of ports that nobody uses, below those that outgoing connections take.
enum FreePorts {
    private static let taken = NIOLockedValueBox<Set<Int>>([])

    /// The first of 400 ports: four gateways' worth. Tests of the libraries have the ports from 20000 on.
    static func block() throws -> Int {
        for base in stride(from: 8000, to: 20_000, by: 400).shuffled() {
            guard self.taken.withLockedValue({ $0.insert(base).inserted }) else { continue }
            let used = [0, 1, 2, 3, 4, 10] + stride(from: 20, through: 70, by: 10).flatMap { [$0, $0 + 1, $0 + 2] }
            if used.allSatisfy({ self.isFree(base + $0) && self.isFree(base + 100 + $0) }) { return base }
            self.release(base)
        }
        throw Suite.Failure(description: "no free ports")
    }

    static func release(_ base: Int) { self.taken.withLockedValue { _ = $0.remove(base) } }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        // Connections that a suite before has ended do not count; a listener does.
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

extension WebSocketClient {
    /// The next message as JSON.
    func next(within time: Duration = .seconds(30)) async throws -> JSON {
        let text = try await self.nextText(within: time)
        guard let json = JSON(parsing: Array(text.utf8)) else { throw Suite.Failure(description: "not JSON: \(text)") }
        return json
    }

    /// The next message that fits; others are passed over.
    func next(within time: Duration = .seconds(30), where fits: (JSON) -> Bool) async throws -> JSON {
        let deadline = ContinuousClock.now + time
        while true {
            let json = try await self.next(within: max(.milliseconds(1), deadline - .now))
            if fits(json) { return json }
        }
    }

    func send(_ json: JSON) async throws {
        try await self.send(text: String(decoding: json.bytes, as: UTF8.self))
    }
}
