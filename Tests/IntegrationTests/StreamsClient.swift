import Events
import TestSupport
import Testing

/// WAVE's REST resources, as a client of one tenant uses them.
struct StreamsClient: Sendable {
    let suite: Suite
    let tenant: String
    let token: String

    /// Of a tenant of its own, with every scope.
    init(_ suite: Suite, tier: String? = nil) async throws {
        self.suite = suite
        self.tenant = "tenant-\(ULID().text.lowercased())"
        self.token = try await suite.token(tenant: self.tenant, scope: "*", tier: tier)
    }

    init(_ suite: Suite, token: String) {
        self.suite = suite
        self.tenant = ""
        self.token = token
    }

    func create() async throws -> String {
        let answer = try await self.succeed("POST", "", #"{"title":"Show","protocol":"rtmp"}"#)
        return try #require(answer["id"]?.string)
    }

    func call(_ method: String, _ path: String, _ body: String? = nil) async throws -> (status: Int, body: JSON) {
        var headers = [("Authorization", "Bearer \(self.token)")]
        if body != nil { headers.append(("Content-Type", "application/json")) }
        let answer = try await HTTPClient.request(
            method, port: self.suite.port(.streamMetrics), path: "/v1/streams\(path)", headers: headers,
            body: Array((body ?? "").utf8))
        return (answer.status, JSON(parsing: answer.body) ?? .null)
    }

    @discardableResult
    func succeed(_ method: String, _ path: String, _ body: String? = nil) async throws -> JSON {
        let answer = try await self.call(method, path, body)
        try #require((200..<300).contains(answer.status), "\(method) \(path): \(answer.status) \(answer.body)")
        return answer.body
    }
}
