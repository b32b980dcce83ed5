import ArgumentParser
import Events
import Foundation
import TestSupport

/// Makes credentials through auth's API, many at once.
struct TokenMint {
    let port: Int
    let ownerKey: String
    var concurrency = 32

    func mint(_ count: Int, type: String, tier: String? = nil, scope: String = "radio:read streams:read")
        async throws -> [String]
    {
        var body: [String: JSON] = ["type": .string(type), "scope": .string(scope), "ttl_seconds": 7200]
        if let tier { body["tier"] = .string(tier) }
        let bytes = JSON.object(body).bytes
        return try await concurrently(Array(0..<count), max: self.concurrency) { _ in
            let answer = try await HTTPClient.request(
                "POST", port: self.port, path: "/v1/tokens",
                headers: [("Authorization", "Bearer \(self.ownerKey)"), ("Content-Type", "application/json")],
                body: bytes)
            guard answer.status == 201, let token = JSON(parsing: answer.body)?["token"]?.string else {
                throw ValidationError("auth made no token: \(answer.status)")
            }
            return token
        }
    }
}

/// Runs `body` for each item, at most `max` at once. The values come in the order in which they are done.
func concurrently<Item: Sendable, Value: Sendable>(
    _ items: [Item], max: Int, _ body: @escaping @Sendable (Item) async throws -> Value
) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        var values: [Value] = []
        for (index, item) in items.enumerated() {
            if index >= max, let value = try await group.next() { values.append(value) }
            group.addTask { try await body(item) }
        }
        for try await value in group { values.append(value) }
        return values
    }
}

/// Writes credentials into a file, one a line.
struct TokensCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens", abstract: "Makes credentials of tier enterprise, one a line of a file.")

    @Option(help: "The port of auth's API.")
    var port: Int

    @Option(help: "The file with the owner's key.")
    var ownerKeyFile: String

    @Option(help: "How many.")
    var count = 1000

    @Option(help: "What they are: jwt, or apikey, each of which is a user of its own.")
    var type = "jwt"

    @Argument(help: "The file.")
    var file: String

    func run() async throws {
        let key = try String(contentsOfFile: self.ownerKeyFile, encoding: .utf8)
        let tokens = try await TokenMint(port: self.port, ownerKey: key).mint(
            self.count, type: self.type, tier: "enterprise", scope: "radio:read streams:read analytics:read")
        try (tokens.joined(separator: "\n") + "\n").write(toFile: self.file, atomically: true, encoding: .utf8)
    }
}
