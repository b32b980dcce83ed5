import Events
import Foundation
import TestSupport
import Testing

/// Everywhere a credential can be shown: two services and the five dialects. Each says whether it let it in, and how it refused.
extension HostileStage {
    /// How a door is refused by the book.
    static let doors = [
        "auth": "401", "stream-metrics": "401", "source-saver": "401", "astro": "err_unauthorized", "wave": "4401",
        "grimnir": "401", "airys": "4401",
    ]

    /// What the door answers: `open`, or the refusal's status, close code or error.
    func knock(_ door: String, _ token: String, from address: String? = nil) async throws -> String {
        let from = [("X-Forwarded-For", address ?? self.address())]
        let text = token.formEncoded
        do {
            switch door {
            case "auth": return try await self.knock(.auth, "/v1/auth/keys", token, from)
            case "stream-metrics": return try await self.knock(.streamMetrics, "/v1/streams", token, from)
            case "source-saver":
                try await self.suite.connect(0, "/?token=\(text)", headers: from).drop()
                return "open"
            case "astro":
                let client = try await self.suite.connect(1, "/", headers: from)
                try await client.send([
                    "type": "subscribe",
                    "data": [
                        "topic": "channel.activities", "token": .string(token), "token_type": .string(Self.kind(token)),
                    ],
                ])
                let answer = try await client.next { $0["type"] == "response" }
                try await client.drop()
                return answer["error"]?.string ?? "open"
            case "wave":
                let client = try await self.suite.connect(2, "/v1/streams?api_key=\(text)", headers: from)
                // `try?`: it may be closed already, with the code that we are after.
                try? await client.send(["type": "ping", "timestamp": 1])
                return try await Self.firstWord(client) { $0["type"] == "pong" }
            case "grimnir":
                try await self.suite.connect(3, "/api/v1/events?token=\(text)", headers: from).drop()
                return "open"
            default:
                let client = try await self.suite.connect(4, "/v1/stream", headers: from)
                try? await client.send(["type": "auth", "token": .string(token)])
                return try await Self.firstWord(client) { $0["type"] == "auth_success" }
            }
        } catch let refusal as WebSocketRefused {
            return "\(refusal.status)"
        }
    }

    /// Knocks until the door refuses by the book: others may take a while to hear that a credential has ended.
    func expectRefusal(_ token: String, _ what: String, at doors: [String] = HostileStage.doors.keys.sorted())
        async throws
    {
        for door in doors {
            var got = ""
            do {
                try await Suite.eventually("", within: .seconds(5)) {
                    got = try await self.knock(door, token)
                    return got == Self.doors[door]
                }
            } catch {
                Issue.record("\(what): \(door) answers \(got)")
            }
        }
    }

    /// What Astro calls it.
    private static func kind(_ token: String) -> String {
        if token.hasPrefix("xpat_") { return "oauth2" }
        return ["xp_", "wave_", "gr_"].contains { token.hasPrefix($0) } ? "apikey" : "jwt"
    }

    private func knock(_ service: ServiceName, _ path: String, _ token: String, _ headers: [(String, String)])
        async throws
        -> String
    {
        let answer = try await self.suite.request("GET", service, path, token: token, headers: headers)
        guard answer.status == 401 else { return answer.status == 200 ? "open" : "\(answer.status)" }
        let challenge = answer.headers["www-authenticate"] ?? ""
        return challenge.contains(#"error="invalid_token""#) ? "401" : "401 with the challenge \(challenge)"
    }

    /// `open` once it hears what only a verified client hears, or the code with which it is closed.
    private static func firstWord(_ client: WebSocketClient, isOpen: (JSON) -> Bool) async throws -> String {
        do {
            _ = try await client.next(where: isOpen)
            try await client.drop()
            return "open"
        } catch WebSocketClientError.closed(let code, _) {
            return "\(code)"
        }
    }
}
