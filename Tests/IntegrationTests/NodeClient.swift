import Foundation

/// A JavaScript client in a process of its own, on Node.
final class NodeClient {
    private let process = Process()
    private let folder: URL
    private var output: URL { self.folder.appending(path: "output") }

    init(_ script: String) throws {
        self.folder = FileManager.default.temporaryDirectory.appending(path: "client-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: self.folder, withIntermediateDirectories: true)
        let file = self.folder.appending(path: "client.js")
        try script.write(to: file, atomically: true, encoding: .utf8)
        try Data().write(to: self.output)
        self.process.executableURL = URL(filePath: "/usr/bin/env")
        self.process.arguments = ["node", file.path]
        // Where Debian has its packages; a Node from elsewhere does not look there.
        self.process.environment = ProcessInfo.processInfo.environment.merging(["NODE_PATH": "/usr/share/nodejs"]) {
            $1
        }
        let handle = try FileHandle(forWritingTo: self.output)
        self.process.standardOutput = handle
        self.process.standardError = handle
        try self.process.run()
    }

    deinit {
        if self.process.isRunning { self.process.terminate() }
        // `try?`: it lies in the folder for temporary files.
        try? FileManager.default.removeItem(at: self.folder)
    }

    var printed: String { (try? String(contentsOf: self.output, encoding: .utf8)) ?? "" }

    /// Waits until it has printed that.
    func prints(_ text: String) async throws {
        do {
            try await Suite.eventually("the client prints \(text)", within: .seconds(20)) {
                self.printed.contains(text)
            }
        } catch {
            throw Suite.Failure(description: "\(error); it printed:\n\(self.printed)")
        }
    }
}
