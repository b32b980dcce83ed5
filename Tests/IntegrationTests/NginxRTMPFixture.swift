import Events
import Foundation
import TestSupport

/// A real nginx with its RTMP module, whose hooks go to a suite's stream-metrics.
final class NginxRTMPFixture {
    static let isAvailable =
        FileManager.default.isExecutableFile(atPath: "/usr/sbin/nginx")
        && FileManager.default.fileExists(atPath: NginxRTMPFixture.module) && RTMPListener.isAvailable
    private static let module = "/usr/lib/nginx/modules/ngx_rtmp_module.so"

    let rtmpPort = NginxRTMPFixture.freePort()
    let httpPort = NginxRTMPFixture.freePort()
    private let secret = UUID().uuidString
    private let folder: URL
    private var process: Process?
    private var encoders: [Process] = []

    private init() throws {
        self.folder = FileManager.default.temporaryDirectory.appending(path: "nginx-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: self.folder, withIntermediateDirectories: true)
    }

    /// Runs `body` with an nginx that is not started yet, and ends it and all its encoders and players.
    static func with(_ body: (NginxRTMPFixture) async throws -> Void) async throws {
        let fixture = try NginxRTMPFixture()
        defer { fixture.end() }
        try await body(fixture)
    }

    /// What stream-metrics must be told of it, as docs/streams.md has it.
    /// - Parameter grace: how many seconds an encoder is waited for.
    func environment(grace: Int = 4) throws -> [String: String] {
        guard let servers = try Document("docs/streams.md").code("json", in: "A walk through it").first else {
            throw Suite.Failure(description: "docs/streams.md has no list of servers")
        }
        let file = self.folder.appending(path: "servers.json")
        try Data(self.place(servers).utf8).write(to: file)
        return [
            "STREAM_METRICS_MEDIA_SERVERS_FILE": file.path, "STREAM_METRICS_MEDIA_GRACE_SECONDS": "\(grace)",
        ]
    }

    var log: URL { self.folder.appending(path: "sessions.log") }

    func url(_ stream: String, key: String) -> String { "rtmp://127.0.0.1:\(self.rtmpPort)/live/\(stream)?key=\(key)" }

    // MARK: nginx

    func start(hooksTo suite: Suite) async throws {
        try self.configuration(hooksTo: suite).write(
            to: self.folder.appending(path: "nginx.conf"), atomically: true, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(filePath: "/usr/sbin/nginx")
        process.arguments = ["-e", "stderr", "-p", self.folder.path, "-c", "nginx.conf"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.process = process
        try await Suite.eventually("nginx answers", within: .seconds(90)) {
            // `try?`: it does not listen yet.
            (try? await HTTPClient.request("GET", port: self.httpPort, path: "/stat"))?.status == 200
        }
    }

    /// Like a power cut.
    func kill() async throws {
        guard let process = self.process else { return }
        Glibc.kill(process.processIdentifier, SIGKILL)
        try await Suite.eventually("nginx is gone") { !process.isRunning }
        self.process = nil
    }

    /// As docs/streams.md has it, with this fixture's own places.
    private func configuration(hooksTo suite: Suite) throws -> String {
        guard let text = try Document("docs/streams.md").code("nginx", in: "A walk through it").first else {
            throw Suite.Failure(description: "docs/streams.md has no configuration of nginx")
        }
        let configuration = self.place(text).replacing(
            "127.0.0.1:3040", with: "127.0.0.1:\(suite.port(.streamMetrics))"
        )
        .replacing("/run/nginx-rtmp.pid", with: "\(self.folder.path)/nginx.pid")
        .replacing("record_path /tmp", with: "record_path \(self.folder.path)")
        return "daemon off;\nmaster_process off;\n" + configuration
    }

    /// What a reader would write in place of the document's.
    func place(_ text: String) -> String {
        text.replacing("YOUR_HOOK_SECRET", with: self.secret).replacing(
            "127.0.0.1:8080", with: "127.0.0.1:\(self.httpPort)"
        )
        .replacing("/var/log/nginx/rtmp.log", with: self.log.path)
        .replacing("listen 1935", with: "listen 127.0.0.1:\(self.rtmpPort)")
        .replacing("127.0.0.1:1935", with: "127.0.0.1:\(self.rtmpPort)")
    }

    // MARK: ffmpeg

    /// What its encoder is set to, in kbit/s.
    static let bitrate = 200

    func publish(_ stream: String, key: String) throws -> Process {
        try self.run([
            "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=15", "-c:v", "libx264", "-preset", "ultrafast",
            "-tune", "zerolatency", "-g", "15", "-b:v", "\(Self.bitrate)k", "-minrate", "\(Self.bitrate)k",
            "-maxrate", "\(Self.bitrate)k", "-bufsize", "\(Self.bitrate)k", "-f", "flv", self.url(stream, key: key),
        ])
    }

    func play(_ stream: String) throws -> Process {
        try self.run(["-i", "rtmp://127.0.0.1:\(self.rtmpPort)/live/\(stream)", "-f", "null", "-"])
    }

    private func run(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/ffmpeg")
        process.arguments = ["-nostdin", "-loglevel", "error"] + arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.encoders.append(process)
        return process
    }

    /// Like a power cut; returns when.
    @discardableResult
    static func kill(_ process: Process) async throws -> Timestamp {
        Glibc.kill(process.processIdentifier, SIGKILL)
        let moment = Timestamp.now
        try await Suite.eventually("the process is gone") { !process.isRunning }
        return moment
    }

    private func end() {
        for process in self.encoders + [self.process].compactMap(\.self) where process.isRunning {
            Glibc.kill(process.processIdentifier, SIGKILL)
        }
        // `try?`: it lies in the folder for temporary files.
        try? FileManager.default.removeItem(at: self.folder)
    }

    private static func freePort() -> Int { Int(freeEndpoint().split(separator: ":").last ?? "") ?? 0 }
}
