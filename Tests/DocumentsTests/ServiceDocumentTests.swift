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
