import Events
import TestSupport
import Testing

/// Astro's REST resources and topics, as a client of one channel uses them.
struct ChannelClient: Sendable {
    let suite: Suite
    let channel: String
    let token: String

    /// Of a channel of its own.
    init(_ suite: Suite, scope: String = "*") async throws {
        try await self.init(suite, channel: "channel-\(ULID().text.lowercased())", scope: scope)
    }

    init(_ suite: Suite, channel: String, scope: String) async throws {
        self.suite = suite
        self.channel = channel
        self.token = try await suite.token(tenant: channel, scope: scope)
    }

    /// - Parameter path: behind `/kappa/v2`; `*` in it is the channel.
    func call(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> (status: Int, body: JSON) {
        var headers = [("Authorization", "Bearer \(self.token)")]
        if body != nil { headers.append(("Content-Type", "application/json")) }
        let answer = try await HTTPClient.request(
            method, port: self.suite.port(.streamMetrics),
            path: "/kappa/v2\(path.replacing("*", with: self.channel))", headers: headers, body: body?.bytes ?? [])
        return (answer.status, JSON(parsing: answer.body) ?? .null)
    }

    @discardableResult
    func succeed(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> JSON {
        let answer = try await self.call(method, path, body)
        try #require((200..<300).contains(answer.status), "\(method) \(path): \(answer.status) \(answer.body)")
        return answer.body
    }

    func session(_ key: String) async throws -> JSON? { try await self.succeed("GET", "/sessions/*")["data"]?[key] }

    /// A socket that hears the topics.
    func listen(_ topics: String...) async throws -> WebSocketClient {
        let socket = try await self.suite.connect(1, "/")
        #expect(try await socket.next()["type"] == "welcome")
        for topic in topics {
            try await socket.send([
                "type": "subscribe", "nonce": "n",
                "data": ["topic": .string(topic), "token": .string(self.token), "token_type": "jwt"],
            ])
            let response = try await socket.next()
            try #require(response["error"] == nil, "\(topic): \(response)")
        }
        return socket
    }
}

extension WebSocketClient {
    /// The data of the next messages, one a topic or key that is named.
    func nextData(_ count: Int) async throws -> [(topic: String, data: JSON)] {
        var messages: [(topic: String, data: JSON)] = []
        while messages.count < count {
            let message = try await self.next()
            guard message["type"] == "message" else { continue }
            messages.append((message["topic"]?.string ?? "", message["data"] ?? .null))
        }
        return messages
    }
}
