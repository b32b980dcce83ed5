import Events
import TestSupport

/// Speaks Source Saver's API to obs-bridge.
struct SourcesClient {
    private let port: Int
    private let token: String?

    init(_ suite: Suite, token: String? = nil) {
        self.port = suite.port(.obsBridge)
        self.token = token
    }

    /// - Parameter path: what follows `/api/sources`.
    func send(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> Suite.Answer {
        try await self.send(method, path: "/api/sources\(path)", body)
    }

    func send(_ method: String, _ path: String, bytes: [UInt8]) async throws -> Suite.Answer {
        try await self.send(method, path: "/api/sources\(path)", bytes: bytes)
    }

    func send(_ method: String, path: String, _ body: JSON? = nil) async throws -> Suite.Answer {
        try await self.send(method, path: path, bytes: body?.bytes ?? [])
    }

    private func send(_ method: String, path: String, bytes: [UInt8]) async throws -> Suite.Answer {
        var headers = bytes.isEmpty ? [] : [("Content-Type", "application/json")]
        if let token = self.token { headers.append(("Authorization", "Bearer \(token)")) }
        let answer = try await HTTPClient.request(method, port: self.port, path: path, headers: headers, body: bytes)
        return Suite.Answer(status: answer.status, headers: answer.headers, body: JSON(parsing: answer.body) ?? .null)
    }

    /// The new source's id.
    func create(_ name: String) async throws -> String {
        let answer = try await self.send("POST", "", .donations(with: "name", .string(name)))
        guard answer.status == 201, let id = answer["id"]?.string else { throw UnexpectedAnswer(answer: answer) }
        return id
    }

    /// What the log says of a source.
    func events(room: String) async throws -> [JSON] {
        let answer = try await self.send("GET", path: "/v1/events?room=\(room)")
        guard let events = answer["events"]?.array else { throw UnexpectedAnswer(answer: answer) }
        return events
    }

    struct UnexpectedAnswer: Error {
        let answer: Suite.Answer
    }
}

extension Suite.Answer {
    /// Whether it is an error in Source Saver's shape whose text begins so.
    func isError(_ status: Int, prefix: String) -> Bool {
        self.status == status && (self.body["error"]?.string?.hasPrefix(prefix) ?? false)
    }
}

extension JSON {
    /// A source as the contract's samples have it.
    static let donations: JSON = [
        "name": "Donations", "url": "https://example.com/widget", "width": 800, "height": 600,
    ]

    static func donations(with field: String, _ value: JSON) -> JSON {
        .object(Self.donations.object.map { $0.merging([field: value]) { $1 } } ?? [:])
    }

    static func donations(without field: String) -> JSON {
        .object(Self.donations.object.map { $0.filter { $0.key != field } } ?? [:])
    }
}
