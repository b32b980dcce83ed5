import Foundation

/// The files of this clone, without what git ignores.
enum Repository {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().standardizedFileURL

    private static let ignored: Set<String> = [".git", ".build", ".build-test", ".crosspoint", "node_modules"]

    /// Paths from the root, of every text file.
    static let textFiles: [String] = {
        guard let walk = FileManager.default.enumerator(atPath: root.path) else { return [] }
        var paths: [String] = []
        while let path = walk.nextObject() as? String {
            let name = path.split(separator: "/").last.map(String.init) ?? path
            if Self.ignored.contains(name) || name.hasPrefix(".build") {
                walk.skipDescendants()
            } else if Self.text(path) != nil {
                paths.append(path)
            }
        }
        return paths.sorted()
    }()

    static let documents = textFiles.filter { $0.hasSuffix(".md") }

    /// `nil`: a folder, or not text.
    static func text(_ path: String) -> String? {
        // `try?`: a folder cannot be read, and that is the answer.
        guard let data = try? Data(contentsOf: root.appending(path: path)), !data.contains(0) else { return nil }
        return String(data: data, encoding: .utf8)
    }
}

/// The tables of a Markdown document.
enum Table {
    /// The cells of every row whose first cell is code, under that heading of the second level or under any.
    static func rows(of document: String, under heading: String? = nil) -> [[String]] {
        var isInside = heading == nil
        var rows: [[String]] = []
        for line in (Repository.text(document) ?? "").split(separator: "\n") {
            if let heading, line.hasPrefix("## ") { isInside = line == "## \(heading)" }
            guard isInside, line.hasPrefix("| `") else { continue }
            let cells = line.dropFirst().split(separator: "|", omittingEmptySubsequences: false).dropLast()
            rows.append(cells.map { $0.trimmingCharacters(in: .whitespaces) })
        }
        return rows
    }

    /// `` `code` `` without its marks.
    static func code(_ cell: String) -> String { cell.replacing("`", with: "") }
}
