import Bus
import Events
import Testing

@Suite struct ServiceDocumentTests {
    @Test(arguments: ServiceName.allCases)
    func `the README has a row for each service, with its port and a link to its own README`(service: ServiceName)
        throws
    {
        let rows = try #require(Repository.text("README.md")).split(separator: "\n").filter {
            $0.hasPrefix("| [\(service.rawValue)](")
        }
        let row = try #require(rows.first)
        #expect(rows.count == 1)
        #expect(row.contains("\(3000 + service.portOffset) |"))
        let folder = try #require(row.firstMatch(of: /\]\((Services\/[A-Za-z]+)\/README\.md\)/)).1
        #expect((Repository.text("\(folder)/README.md") ?? "").hasPrefix("# \(service.rawValue)\n"))
    }

    @Test func `no text of an API's description is cut off at a comma`() throws {
        // Within braces a comma ends a text that stands without quotes, and what follows is read as a member without a value.
        let cut = try Regex(#"\{[^}]*description: [^'"}][^}]*?, (?!\s*[\w$'"-]+: )"#)
        for path in Repository.textFiles where path.hasSuffix("/openapi.yaml") {
            for line in (Repository.text(path) ?? "").split(separator: "\n") {
                #expect(line.firstMatch(of: cut) == nil, "\(path): \(line)")
            }
        }
    }

    @Test func `each service describes itself and its API`() {
        let descriptions = Repository.textFiles.filter { $0.hasPrefix("Services/") && $0.hasSuffix("/openapi.yaml") }
        #expect(descriptions.count == ServiceName.allCases.count)
        for path in descriptions {
            #expect((Repository.text(path) ?? "").contains("\n  /"), "\(path) has no paths")
            let readme = path.replacing("openapi.yaml", with: "README.md")
            #expect((Repository.text(readme) ?? "").split(separator: "\n").count > 5, "\(readme) is a stub")
        }
    }
}
