import Events
import Glibc
import TestSupport
import Testing

/// A radio station whose tracks clients of several dialects listen to: numbered, durable events.
struct RadioBroadcast {
    let suite: Suite
    private let token: String
    private let station: String

    init(_ suite: Suite) async throws {
        self.suite = suite
        self.token = try await suite.token()
        let made = try await suite.request(
            "POST", .radioPlayout, "/api/v1/stations", ["name": "Radio"], token: self.token)
        self.station = try #require(made["id"]?.string)
    }

    /// Starts tracks one after the other, each until it is acknowledged.
    func play(_ titles: [String]) async throws {
        for title in titles {
            try await Suite.eventually("\(title) is acknowledged") {
                let answer = try? await self.suite.request(
                    "POST", .radioPlayout, "/api/v1/webhooks/track-start",
                    ["station_id": .string(self.station), "title": .string(title)], token: self.token)
                return answer?.status == 202
            }
        }
    }

    /// Connects a client of Source Saver, one of Astro and one of Grimnir, who subscribe to the station's tracks.
    func listenInEachWay() async throws -> [WebSocketClient] {
        let saver = try await self.suite.connect(0, "/?token=\(self.token)")
        try await saver.send(["action": "subscribe", "events": ["radio:now_playing"]])
        _ = try await saver.next { $0["event"] == "subscription:confirmed" }
        let grimnir = try await self.suite.connect(3, "/api/v1/events?types=now_playing&token=\(self.token)")
        return [saver, try await self.listen(gateway: 0), grimnir]
    }

    /// Connects a client of Astro.
    func listen(gateway: Int) async throws -> WebSocketClient {
        let client = try await self.suite.connect(1, "/", gateway: gateway)
        try await client.send([
            "type": "subscribe",
            "data": [
                "topic": "radio.now_playing", "room": .string(self.station), "token": .string(self.token),
                "token_type": "jwt",
            ],
        ])
        let response = try await client.next { $0["type"] == "response" }
        try #require(response["error"] == nil, "\(response)")
        return client
    }

    /// Ends a gateway, and returns the reconnect token that a client of Astro got there.
    func leave(_ client: WebSocketClient, gateway: Int) async throws -> String {
        try self.suite.signal("gateway-\(gateway)", SIGTERM)
        let message = try await client.next { $0["type"] == "reconnect" }
        let token = try #require(message["data"]?["reconnect_token"]?.string)
        try await client.drop()
        try await self.suite.end("gateway-\(gateway)", SIGTERM)
        return token
    }

    /// Connects a client of Astro with its reconnect token.
    func comeBack(_ token: String, gateway: Int) async throws -> WebSocketClient {
        let client = try await self.suite.connect(1, "/?reconnect_token=\(token)", gateway: gateway)
        let welcome = try await client.next()
        try #require(welcome["type"] == "welcome", "\(welcome)")
        return client
    }

    /// Expects that these tracks, and no others, are what each client hears next, in this order.
    /// - Parameter earlier: tracks that came before; the last of them may come again first.
    func expect(
        _ titles: [String], after earlier: [String] = [], at clients: [WebSocketClient],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        for (number, client) in clients.enumerated() {
            let heard = await self.titles(at: client, through: titles.last)
            let repeated = earlier.suffix(max(0, heard.count - titles.count))
            #expect(heard == repeated + titles, "client \(number)", sourceLocation: sourceLocation)
        }
    }

    /// Returns the tracks that a client hears, up to the one with that title or for as long as there are any.
    private func titles(at client: WebSocketClient, through last: String?) async -> [String] {
        var titles: [String] = []
        // `try?`: nothing more comes.
        while titles.last != last, let message = try? await client.next(within: .seconds(20)) {
            if let title = (message["payload"] ?? message["data"])?["title"]?.string { titles.append(title) }
        }
        return titles
    }
}
