import Events
import Foundation

/// A flow of `Clients/`, in a Python process of its own with the packages that `Clients/requirements.txt` names.
enum PythonClient {
    /// What a flow says when it is through.
    struct Report: Decodable {
        /// Each part that held, in order.
        let checked: [String]
        /// Everything secret that it sent or got.
        let secrets: [String]
    }

    /// Set by `./crosspoint test`, which installs the packages.
    static let interpreter = ProcessInfo.processInfo.environment["CROSSPOINT_PYTHON"]

    /// Runs the flow to its end; throws with everything that it printed if it fails.
    static func run(
        _ flow: String, against suite: Suite, environment: [String: String] = [:], within time: Duration = .seconds(180)
    ) async throws -> Report {
        guard let interpreter = Self.interpreter else { throw Suite.Failure(description: "no CROSSPOINT_PYTHON") }
        let process = Process()
        process.executableURL = URL(filePath: interpreter)
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Clients")
        process.arguments = ["-B", folder.appending(path: "\(flow).py").path]
        process.environment = ProcessInfo.processInfo.environment.merging([
            "CROSSPOINT_AUTH": "http://127.0.0.1:\(suite.port(.auth))",
            "CROSSPOINT_STREAMS": "http://127.0.0.1:\(suite.port(.streamMetrics))",
            "CROSSPOINT_EDGE_PORT": "\(suite.edgePort())", "CROSSPOINT_OWNER_KEY": try suite.ownerKey,
            // No proxy stands between this machine and itself.
            "NO_PROXY": "127.0.0.1",
        ]) { $1 }.merging(environment) { $1 }
        let file = FileManager.default.temporaryDirectory.appending(path: "flow-\(UUID().uuidString)")
        try Data().write(to: file)
        // `try?`: it lies in the folder for temporary files.
        defer { try? FileManager.default.removeItem(at: file) }
        let handle = try FileHandle(forWritingTo: file)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        // Ended by what it was started with, however the wait ends.
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        func printed() -> String { (try? String(contentsOf: file, encoding: .utf8)) ?? "" }
        do {
            try await Suite.eventually("\(flow).py ends", within: time) { !process.isRunning }
        } catch {
            throw Suite.Failure(description: "\(error); it printed:\n\(printed())")
        }
        guard process.terminationStatus == 0, let last = printed().split(separator: "\n").last,
            let report = try? JSON.decode(Report.self, from: Array(last.utf8))
        else { throw Suite.Failure(description: "\(flow).py ended with \(process.terminationStatus):\n\(printed())") }
        return report
    }
}
