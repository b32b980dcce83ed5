import Foundation
import TestSupport

/// Takes one stream by RTMP and forgets it: ffmpeg.
enum RTMPListener {
    static let isAvailable = FileManager.default.isExecutableFile(atPath: Self.program)
    static let key = "key"

    private static let program = "/usr/bin/ffmpeg"

    /// Runs `body` with the address that it listens at.
    static func with(_ body: (String) async throws -> Void) async throws {
        var (port, process) = try Self.start()
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        try await Suite.eventually("ffmpeg listens", within: .seconds(90)) {
            // Another test can have taken the port in the meantime.
            if !process.isRunning { (port, process) = try Self.start() }
            return try Self.isListening(process, at: port)
        }
        try await body(Self.address(port))
    }

    /// Where nobody listens.
    static var deadAddress: String { Self.address(Self.freePort) }

    private static func start() throws -> (port: Int, process: Process) {
        let port = Self.freePort
        let process = Process()
        process.executableURL = URL(filePath: Self.program)
        process.arguments = [
            "-loglevel", "error", "-listen", "1", "-i", "\(Self.address(port))/\(Self.key)", "-f", "null", "-",
        ]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        return (port, process)
    }

    /// To connect and see would be the one stream that it takes. Another test may listen there, so the socket has to be the process's.
    private static func isListening(_ process: Process, at port: Int) throws -> Bool {
        let listens = Data(String(format: " 0100007F:%04X 00000000:0000 0A ", port).utf8)
        // `Data(contentsOf:)` reads 4 KB of such a file and no more. Searched as bytes: it has a line for each connection that ended
        // within the last minute, which can be many thousands.
        let file = try FileHandle(forReadingFrom: URL(filePath: "/proc/net/tcp"))
        let table = try file.readToEnd() ?? Data()
        guard let found = table.range(of: listens) else { return false }
        let fields = String(decoding: table[found.upperBound...].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
            .split(separator: " ")
        guard fields.count > 5 else { return false }
        let folder = "/proc/\(process.processIdentifier)/fd"
        // `try?`: the process, or one of its descriptors, may have gone meanwhile.
        return ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).contains {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)")) == "socket:[\(fields[5])]"
        }
    }

    private static var freePort: Int { Int(freeEndpoint().split(separator: ":").last ?? "") ?? 0 }

    private static func address(_ port: Int) -> String { "rtmp://127.0.0.1:\(port)/live" }
}
