import Foundation
import Testing

/// A migration is a file and a line in its service's list; one without the other is never applied, or does not build.
@Suite struct MigrationFilesTests {
    @Test func `every migration's file is in its service's list`() throws {
        let files = Repository.textFiles.filter { $0.contains("/Migrations/") && $0.hasSuffix(".sql") }
        #expect(!files.isEmpty)
        for file in files {
            let parts = file.split(separator: "/").map(String.init)
            let service = parts[..<(parts.count - 2)].joined(separator: "/")
            let name = try #require(parts.last?.dropLast(4))
            let lists = Repository.textFiles.filter { $0.hasPrefix("\(service)/") && $0.hasSuffix(".swift") }
            #expect(
                lists.contains { Repository.text($0)?.contains("\"\(name)\"") ?? false },
                "\(file) is in no list")
        }
    }
}
