import Access
import Configuration
import Database
import Events
import Foundation
import Hummingbird
import Logging
import Testing

@testable import Auth

/// What auth's OpenAPI document says there is, and what there is.
@Suite struct OpenAPIDocumentTests {
    /// Of every service; added elsewhere.
    private static let common: Set<String> = ["GET /v1/events"]

    @Test func `auth's document has every route, and no other`() throws {
        let text = try #require(Repository.text("Services/Auth/openapi.yaml"))
        #expect(Self.operations(of: text).subtracting(Self.common) == (try Self.routes()))
    }

    /// `POST /v1/tokens/{}`, read line by line: paths are indented by two, methods by four; an alias stands for what it names.
    private static func operations(of text: String) -> Set<String> {
        var (operations, named): (Set<String>, [Substring: Set<String>]) = ([], [:])
        var (path, anchor): (String, Substring?) = ("", nil)
        for line in text.split(separator: "\n").drop(while: { $0 != "paths:" }).dropFirst() {
            if !line.hasPrefix(" ") { break }
            if let match = line.wholeMatch(of: /\ {2}(\/\S*):(?: ([&*])(\w+))?/) {
                (path, anchor) = (String(match.1.replacing(/\{\w+\}/, with: "{}")), match.3)
                guard match.2 == "*", let alias = anchor else { continue }
                operations.formUnion((named[alias] ?? []).map { "\($0) \(path)" })
            } else if let match = line.wholeMatch(of: /\ {4}(get|post|put|patch|delete):/) {
                operations.insert("\(match.1.uppercased()) \(path)")
                if let anchor { named[anchor, default: []].insert(match.1.uppercased()) }
            }
        }
        return operations
    }

    private static func routes() throws -> Set<String> {
        let folder = FileManager.default.temporaryDirectory.appending(path: "routes-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let secrets = folder.appending(path: "secrets")
        try Data(String(repeating: "0", count: 64).utf8).write(to: secrets)
        let config = ConfigReader(
            provider: InMemoryProvider(values: ["auth.secrets.key.file": .init(stringLiteral: secrets.path)]))
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let database = Database(DatabaseConfiguration(url: "postgresql:///unused", schema: "auth"), logger: logger)
        let writer = EventWriter(database: database, publisher: .auth, logger: logger) { _ in }
        let router = Router(context: APIContext.self)
        AuthParts(try AuthConfig(config), database, writer, logger).addRoutes(router)
        return Set(
            router.routes.map { route in
                let path = route.path.description.replacing(/:\w+|\{\w+\}/, with: "{}")
                return "\(route.method.rawValue) \(path)"
            })
    }
}
