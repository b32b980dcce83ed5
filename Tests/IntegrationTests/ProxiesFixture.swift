import Events
import Foundation
import TestSupport
import Testing

/// The project's HAProxy in front of a suite, and nginx in front of HAProxy, of a gateway and of a service, on ports of the suite's.
final class ProxiesFixture {
    static let isAvailable = ["/usr/sbin/haproxy", "/usr/sbin/nginx"].allSatisfy(FileManager.default.isExecutableFile)
    static let reason: Comment = "needs haproxy and nginx: ./crosspoint test"

    /// A way that a request takes through nginx.
    enum Way: Int, CaseIterable {
        /// As nginx' documentation has it, with the client's address and the public name.
        case usualToHAProxy, secureToHAProxy, usualToGateway, usualToService
        /// With `proxy_pass` and nothing else.
        case bareToHAProxy, bareToService
    }

    /// The file with the key that HAProxy and the processes share.
    var keyFile: URL { self.folder.appending(path: "proxy.key") }
    private(set) var key: [UInt8] = []

    private let folder: URL
    private var processes: [Process] = []

    private init() throws {
        self.folder = FileManager.default.temporaryDirectory.appending(path: "proxies-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: self.folder, withIntermediateDirectories: true)
        let key = UUID().uuidString + UUID().uuidString
        self.key = Array(key.utf8)
        try "\(key)\n".write(to: self.keyFile, atomically: true, encoding: .utf8)
    }

    /// Runs `body` with proxies that are not started yet, and ends them.
    static func with(_ body: (ProxiesFixture) async throws -> Void) async throws {
        let fixture = try ProxiesFixture()
        defer { fixture.end() }
        try await body(fixture)
    }

    /// What the suite's processes must be told.
    var environment: [String: String] { ["HTTP_PROXY_KEY_FILE": self.keyFile.path] }

    /// The port of HAProxy's listener for a dialect.
    func haproxyPort(_ suite: Suite, _ dialect: Int = 0) -> Int { suite.base + 300 + dialect }

    func nginxPort(_ suite: Suite, _ way: Way) -> Int { suite.base + 310 + way.rawValue }

    func start(for suite: Suite, _ authority: TestAuthority) async throws {
        try self.startHAProxy(suite)
        try self.startNginx(suite, authority)
        let ports = [self.haproxyPort(suite)] + Way.allCases.map { self.nginxPort(suite, $0) }
        for port in ports {
            try await Suite.eventually("a proxy listens on \(port)") {
                // `try?`: it does not listen yet, or speaks TLS.
                (try? await HTTPClient.request("GET", port: port, path: "/none")) != nil
                    || port == self.nginxPort(suite, .secureToHAProxy)
            }
        }
        // It asks each process for its health first.
        try await Suite.eventually("HAProxy finds obs-bridge and a gateway") {
            for path in ["/api/none", "/none"] {
                let answer = try await HTTPClient.request("GET", port: self.haproxyPort(suite), path: path)
                guard answer.status != 503 else { return false }
            }
            return true
        }
    }

    private func startHAProxy(_ suite: Suite) throws {
        let dialects = ["source-saver", "astro", "wave", "grimnir", "airys"]
        let backends = dialects.enumerated().map { index, name in
            """
            backend \(name) from gateways
                server gateway 127.0.0.1:\(suite.edgePort(index)) check port \(suite.operatorsPort())
                server gateway-unready 127.0.0.1:\(suite.edgePort(index)) backup

            """
        }
        let file = self.folder.appending(path: "gateways.cfg")
        try backends.joined().write(to: file, atomically: true, encoding: .utf8)
        var environment = [
            "BIND_ADDRESS": "127.0.0.1", "EDGE_PROXY_KEY": String(decoding: self.key, as: UTF8.self),
            "PATH": "/usr/sbin:/usr/bin:/bin",
        ]
        for index in dialects.indices { environment["EDGE_PORT_\(index)"] = "\(self.haproxyPort(suite, index))" }
        for name in ["auth", "obs-bridge", "stream-metrics", "radio-playout", "camera-events", "performance-monitor"] {
            let service = name == "auth" ? suite.port(.auth) : suite.port(.obsBridge)
            environment["\(name.uppercased().replacing("-", with: "_"))_ADDRESS"] = "127.0.0.1:\(service)"
        }
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let configuration = root.appending(path: "deploy/haproxy/haproxy.cfg").path
        try self.run("/usr/sbin/haproxy", ["-db", "-f", configuration, "-f", file.path], environment)
    }

    private func startNginx(_ suite: Suite, _ authority: TestAuthority) throws {
        let usual = """
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            """
        let secure = "ssl_certificate \(authority.certificate); ssl_certificate_key \(authority.key);"
        func server(_ way: Way, to port: Int, _ settings: String) -> String {
            let suffix = way == .secureToHAProxy ? " ssl" : ""
            return """
                server {
                    listen 127.0.0.1:\(self.nginxPort(suite, way))\(suffix);
                    \(settings)
                    location / { proxy_pass http://127.0.0.1:\(port); }
                }

                """
        }
        let servers = [
            server(.usualToHAProxy, to: self.haproxyPort(suite), usual),
            server(.secureToHAProxy, to: self.haproxyPort(suite), secure + usual),
            server(.usualToGateway, to: suite.edgePort(), usual),
            server(.usualToService, to: suite.port(.obsBridge), usual),
            server(.bareToHAProxy, to: self.haproxyPort(suite), ""),
            server(.bareToService, to: suite.port(.obsBridge), ""),
        ]
        let configuration = """
            daemon off;
            master_process off;
            pid nginx.pid;
            events {}
            http {
                access_log off;
                client_body_temp_path body;
                proxy_temp_path proxy;
                fastcgi_temp_path fastcgi;
                uwsgi_temp_path uwsgi;
                scgi_temp_path scgi;
                map $http_upgrade $connection_upgrade { default upgrade; '' close; }
                \(servers.joined())
            }
            """
        try configuration.write(to: self.folder.appending(path: "nginx.conf"), atomically: true, encoding: .utf8)
        try self.run("/usr/sbin/nginx", ["-e", "stderr", "-p", self.folder.path, "-c", "nginx.conf"], [:])
    }

    private func run(_ program: String, _ arguments: [String], _ environment: [String: String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.environment = environment
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.processes.append(process)
    }

    private func end() {
        for process in self.processes {
            // nginx without a master process inherits that SIGTERM is blocked in the threads that start tests' processes.
            kill(process.processIdentifier, SIGKILL)
        }
        // `try?`: it lies in the folder for temporary files.
        try? FileManager.default.removeItem(at: self.folder)
    }
}
