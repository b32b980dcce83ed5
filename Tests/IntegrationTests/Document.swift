import Events
import Foundation
import TestSupport

/// A document's code, by section.
struct Document {
    private let text: String

    /// - Parameter path: in the repository.
    init(_ path: String) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        self.text = try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    /// The code blocks in that language between the heading that begins so and the next heading.
    func code(_ language: String, in section: String) -> [String] {
        var blocks: [String] = []
        var isInside = false
        var block: String?
        // Blocks of a list stand indented.
        var indent = 0
        for line in self.text.split(separator: "\n", omittingEmptySubsequences: false) {
            if let code = block {
                let line = line.dropFirst(min(indent, line.count))
                if line == "```" { blocks.append(code) }
                block = line == "```" ? nil : "\(code)\(line)\n"
            } else if line.hasPrefix("#") {
                isInside = line.drop { $0 == "#" }.dropFirst().hasPrefix(section)
            } else if isInside, line.drop(while: { $0 == " " }) == "```\(language)" {
                indent = line.prefix { $0 == " " }.count
                block = ""
            }
        }
        return blocks
    }

    /// The cells of every row whose first cell is code, between the heading of the second level and the next one.
    func rows(in section: String) -> [[String]] {
        var isInside = false
        var rows: [[String]] = []
        for line in self.text.split(separator: "\n") {
            if line.hasPrefix("## ") { isInside = line == "## \(section)" }
            guard isInside, line.hasPrefix("| `") else { continue }
            let cells = line.dropFirst().split(separator: "|", omittingEmptySubsequences: false).dropLast()
            rows.append(cells.map { $0.trimmingCharacters(in: .whitespaces) })
        }
        return rows
    }
}

/// Runs blocks of shell commands one after another; a later one has the variables of the earlier ones.
final class DocumentShell {
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
        let status = folder.appending(path: "status")
        try Data().write(to: printed)
        let names = block.matches(of: /(?m)^([a-z]+)=/).map { String($0.1) }
        let dump = names.map { "printf '%s\\n' \"$\($0)\" >>'\(values.path)'\n" }.joined()

        let process = Process()
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = [
            // Whatever a block leaves running in the background counts as running to `Process`.
            "-euo", "pipefail", "-c",
            "trap 'echo $? >\(status.path).new; mv \(status.path).new \(status.path)' EXIT\n"
                + self.suite.address(block, replacing: replacements) + "\n" + dump,
        ]
        process.environment = ProcessInfo.processInfo.environment.merging(self.variables) { $1 }
        let handle = try FileHandle(forWritingTo: printed)
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        try await Suite.eventually("the shell ends", within: .seconds(20)) {
            FileManager.default.fileExists(atPath: status.path)
        }
        let text = try String(contentsOf: printed, encoding: .utf8)
        guard try String(contentsOf: status, encoding: .utf8) == "0\n" else {
            throw Suite.Failure(description: "\(block)\n\(text)")
        }
        if !names.isEmpty {
            let lines = try String(contentsOf: values, encoding: .utf8).split(separator: "\n")
            for (name, value) in zip(names, lines) { self.variables[name] = String(value) }
        }
        return text
    }
}

extension Suite {
    /// Text with the suite's own ports in place of the default ones, and with other replacements.
    func address(_ text: String, gateway: Int = 0, replacing replacements: [String: String]) -> String {
        let text = text.replacing(/localhost:3(\d{3})\b/) { match in
            let offset = Int(match.1) ?? 0
            let port = offset < 5 ? self.edgePort(offset, gateway: gateway) : self.base + offset
            return "localhost:\(port)"
        }
        return replacements.reduce(text) { $0.replacing($1.key, with: $1.value) }
    }
}
