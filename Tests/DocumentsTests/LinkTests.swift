import Foundation
import Testing

@Suite struct LinkTests {
    @Test(arguments: Repository.documents)
    func `relative links lead to files of the repository`(document: String) throws {
        let text = try #require(Repository.text(document))
        let folder = Repository.root.appending(path: document).deletingLastPathComponent()
        for match in Self.withoutCode(text).matches(of: /\]\(([^)\s#]+)(#[^)\s]*)?\)/) {
            let target = String(match.1)
            guard !target.contains("://"), !target.hasPrefix("mailto:") else { continue }
            let path = folder.appending(path: target).standardizedFileURL.path
            #expect(path.hasPrefix(Repository.root.path), "\(document) links out of the repository: \(target)")
            #expect(FileManager.default.fileExists(atPath: path), "\(document) links to \(target)")
        }
    }

    /// Code may look like a link and be none.
    private static func withoutCode(_ text: String) -> String {
        text.replacing(/(?s)```.*?```/, with: "").replacing(/`[^`\n]*`/, with: "")
    }
}
