import Events
import Foundation
import TestSupport
import Testing

/// The README's examples as they are printed there: the originals' clients on Node, the commands in a shell. Only ports and
/// placeholders are others.
@Suite("README", .enabled(if: Suite.isEnabled, Suite.reason), .serialized)
struct ReadmeTests {
    @Test func `each client prints the events that the commands cause, on either gateway`() async throws {
        try await Suite.with(gateways: 2) { suite in
            let readme = try Readme()
            let shell = ReadmeShell(suite)
            let token = try await suite.token()
            try await shell.run(readme.code("bash", in: "Clients")[0], replacing: ["$(./crosspoint token)": token])
            try await shell.run(readme.code("bash", in: "WAVE")[0])
            let placeholders = [
                "YOUR_JWT_TOKEN": token, "YOUR_TOKEN": token, "your_api_token": token,
                "YOUR_API_KEY": try await suite.token("apikey"),
                "YOUR_STREAM_ID": try #require(shell.variables["stream"]),
            ]
            func client(_ section: String, _ gateway: Int) throws -> NodeClient {
                let code = try #require(readme.code("js", in: section).first)
                return try NodeClient(readme.shim + suite.address(code, gateway: gateway, replacing: placeholders))
            }

            var clients: [[String: NodeClient]] = []
            for gateway in 0...1 {
                var ofGateway: [String: NodeClient] = [:]
                for section in Readme.clients { ofGateway[section] = try client(section, gateway) }
                clients.append(ofGateway)
            }
            for (gateway, client) in clients.enumerated() {
                try await client["Source Saver"]?.prints("Received: subscription:confirmed")
                try await client["StreamElements Astro"]?.prints("Success: ")
                try await client["WAVE"]?.prints("Received: subscribed")
                try await client["Airys"]?.prints("Received: auth_success")
                // Grimnir's says nothing when it is connected.
                try await suite.waitForClient(of: "grimnir", gateway: gateway)
            }

            try await shell.run(readme.code("bash", in: "Source Saver")[0])
            try await shell.run(readme.code("bash", in: "StreamElements Astro")[0])
            try await shell.run(readme.code("bash", in: "WAVE")[1])
            for block in readme.code("bash", in: "Grimnir Radio") { try await shell.run(block) }
            try await shell.run(readme.code("bash", in: "Airys")[0])

            for client in clients {
                try await client["Source Saver"]?.prints("Received: sources:create {")
                try await client["StreamElements Astro"]?.prints("Received: channel.activities {")
                try await client["WAVE"]?.prints("Received: stream.started {")
                try await client["WAVE"]?.prints("Good morning")
                try await client["Grimnir Radio"]?.prints("Event: now_playing {")
                try await client["Airys"]?.prints("Received: face_detected ")
            }

            let answers = try await shell.run(try #require(readme.code("bash", in: "Services").first))
            #expect(answers.contains(#""bus.auth":true"#), "\(answers)")
            #expect(answers.contains(#""sources.create""#), "\(answers)")
        }
    }
}

/// The README's code, by section.
private struct Readme {
    static let clients = ["Source Saver", "StreamElements Astro", "WAVE", "Grimnir Radio", "Airys"]

    private let text: String

    init() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        self.text = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
    }

    /// The code blocks in that language between the heading that begins so and the next heading.
    func code(_ language: String, in section: String) -> [String] {
        var blocks: [String] = []
        var isInside = false
        var block: String?
        for line in self.text.split(separator: "\n", omittingEmptySubsequences: false) {
            if let code = block {
                if line == "```" { blocks.append(code) }
                block = line == "```" ? nil : "\(code)\(line)\n"
            } else if line.hasPrefix("#") {
                isInside = line.drop { $0 == "#" }.dropFirst().hasPrefix(section)
            } else if isInside, line == "```\(language)" {
                block = ""
            }
        }
        return blocks
    }

    /// What an older Node needs in front.
    var shim: String { self.code("js", in: "Clients").joined() }
}

/// Runs blocks of shell commands one after another; a later one has the variables of the earlier ones.
private final class ReadmeShell {
    private let suite: Suite
    private(set) var variables: [String: String] = [:]

    init(_ suite: Suite) { self.suite = suite }

    /// Returns what it printed.
    @discardableResult
    func run(_ block: String, replacing replacements: [String: String] = [:]) async throws -> String {
        let folder = FileManager.default.temporaryDirectory.appending(path: "shell-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        // `try?`: it lies in the folder for temporary files.
        defer { try? FileManager.default.removeItem(at: folder) }
        let (printed, values) = (folder.appending(path: "printed"), folder.appending(path: "values"))
        try Data().write(to: printed)
        let names = block.matches(of: /(?m)^([a-z]+)=/).map { String($0.1) }
        let dump = names.map { "printf '%s\\n' \"$\($0)\" >>'\(values.path)'\n" }.joined()

        let process = Process()
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = [
            "-euo", "pipefail", "-c", self.suite.address(block, replacing: replacements) + "\n" + dump,
        ]
        process.environment = ProcessInfo.processInfo.environment.merging(self.variables) { $1 }
        let handle = try FileHandle(forWritingTo: printed)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        try await Suite.eventually("the shell ends", within: .seconds(20)) { !process.isRunning }
        let text = try String(contentsOf: printed, encoding: .utf8)
        guard process.terminationStatus == 0 else { throw Suite.Failure(description: "\(block)\n\(text)") }
        if !names.isEmpty {
            let lines = try String(contentsOf: values, encoding: .utf8).split(separator: "\n")
            for (name, value) in zip(names, lines) { self.variables[name] = String(value) }
        }
        return text
    }
}

extension Suite {
    /// Text with the suite's own ports in place of the default ones, and with other replacements.
    fileprivate func address(_ text: String, gateway: Int = 0, replacing replacements: [String: String]) -> String {
        let text = text.replacing(/localhost:3(\d{3})\b/) { match in
            let offset = Int(match.1) ?? 0
            let port = offset < 5 ? self.edgePort(offset, gateway: gateway) : self.base + offset
            return "localhost:\(port)"
        }
        return replacements.reduce(text) { $0.replacing($1.key, with: $1.value) }
    }

    fileprivate func waitForClient(of dialect: String, gateway: Int) async throws {
        try await Self.eventually("gateway \(gateway) has a client of \(dialect)", within: .seconds(20)) {
            let port = self.operatorsPort(gateway: gateway)
            let answer = try await HTTPClient.request("GET", port: port, path: "/connections")
            let clients = JSON(parsing: answer.body)?["connections"]?.array ?? []
            return clients.contains { $0["dialect"]?.string == dialect && $0["filters"]?.array?.isEmpty == false }
        }
    }
}
