import Events
import NIOCore
import TestSupport
import Testing

/// A client of one dialect, as that dialect shows its credential.
struct EdgeClient: Sendable {
    let dialect: Int
    let socket: WebSocketClient

    static let dialects = 0..<5

    /// What a connection is closed with when its credential is revoked.
    var revokedCode: UInt16 { self.dialect == 2 || self.dialect == 4 ? 4401 : 1008 }

    /// What became of a client that tried to come in.
    enum Outcome: Equatable {
        case welcome
        case refused(status: Int, canRetry: Bool)
        case closed(code: UInt16, error: String)
    }

    /// Connects, shows the credential, and waits until it was accepted. Throws `Failure` if it was not.
    static func open(
        _ suite: Suite, _ dialect: Int, _ token: String, kind: String = "jwt", gateway: Int = 0, address: String? = nil
    ) async throws -> EdgeClient {
        let (outcome, client) = try await Self.attempt(suite, dialect, token, kind, gateway, address)
        guard let client else { throw Suite.Failure(description: "dialect \(dialect): \(outcome)") }
        return client
    }

    static func outcome(
        _ suite: Suite, _ dialect: Int, _ token: String, kind: String = "jwt", gateway: Int = 0
    ) async throws -> Outcome {
        let (outcome, client) = try await Self.attempt(suite, dialect, token, kind, gateway, nil)
        try await client?.socket.drop()
        return outcome
    }

    /// Whether the connection lives.
    func isAlive() async throws -> Bool {
        do {
            try await self.socket.ping(Array("alive".utf8))
            return try await self.socket.nextPong(within: .seconds(10)) == Array("alive".utf8)
        } catch is WebSocketClientError {
            return false
        } catch is ChannelError {
            return false
        }
    }

    private static let paths = ["/?token=", "/", "/v1/streams?api_key=", "/api/v1/events?token=", "/v1/stream?token="]

    private static func attempt(
        _ suite: Suite, _ dialect: Int, _ token: String, _ kind: String, _ gateway: Int, _ address: String?
    ) async throws -> (Outcome, EdgeClient?) {
        let path = Self.paths[dialect] + (dialect == 1 ? "" : token)
        let headers = address.map { [("X-Forwarded-For", $0)] } ?? []
        let socket: WebSocketClient
        do {
            socket = try await suite.connect(dialect, path, headers: headers, gateway: gateway)
        } catch let refusal as WebSocketRefused {
            return (.refused(status: refusal.status, canRetry: refusal.headers["retry-after"] != nil), nil)
        }
        let outcome = try await Self.login(dialect, socket, token, kind)
        return (outcome, outcome == .welcome ? EdgeClient(dialect: dialect, socket: socket) : nil)
    }

    private static func login(
        _ dialect: Int, _ socket: WebSocketClient, _ token: String, _ kind: String
    ) async throws -> Outcome {
        switch dialect {
        case 1:
            try await socket.send([
                "type": "subscribe",
                "data": ["topic": "channel.activities", "token": .string(token), "token_type": .string(kind)],
            ])
            let answer = try await socket.next { $0["type"] == "response" }
            guard let error = answer["error"]?.string else { return .welcome }
            // The connection stays; the client may try again on it.
            try await socket.drop()
            return .closed(code: 0, error: error)
        case 2:
            // `try?`: a wrong key may have ended it already.
            try? await socket.send(["type": "ping", "timestamp": 1])
            let answer = try await socket.next { ["pong", "error"].contains($0["type"]) }
            guard answer["type"] == "error" else { return .welcome }
            return .closed(
                code: try await socket.closeCode(), error: answer["payload"]?["code"]?.string ?? "\(answer)")
        case 4:
            let answer = try await socket.next { ["auth_success", "error"].contains($0["type"]) }
            guard answer["type"] == "error" else { return .welcome }
            return .closed(code: try await socket.closeCode(), error: answer["data"]?["code"]?.string ?? "\(answer)")
        default: return .welcome
        }
    }
}

extension Suite {
    /// A credential and the request that ends it.
    struct Revocable: Sendable {
        let token: String
        let kind: String
        var method = "DELETE"
        let path: String
    }

    /// - Parameter type: as `POST /v1/tokens` has it. An enterprise's, for which no seats are counted, unless said otherwise.
    func revocable(_ type: String, tier: String = "enterprise", seconds: Int = 600) async throws -> Revocable {
        let body: JSON = ["type": .string(type), "tier": .string(tier), "ttl_seconds": .integer(Int64(seconds))]
        let answer = try await self.request("POST", .auth, "/v1/tokens", body, token: try self.ownerKey)
        guard answer.status == 201, let id = answer["id"]?.string, let token = answer["token"]?.string else {
            throw Failure(description: "no credential: \(answer.status) \(answer.body)")
        }
        return Revocable(token: token, kind: type, path: type == "apikey" ? "/v1/auth/keys/\(id)" : "/v1/tokens/\(id)")
    }

    /// A new user's sign-in, who is then signed out everywhere.
    func revocableUser(_ name: String) async throws -> Revocable {
        let password = ULID().text
        let made = try await self.request(
            "POST", .auth, "/v1/auth/users",
            [
                "email": .string("\(name)@example.com"), "password": .string(password),
                "roles": [["channel": "default", "role": "viewer"]],
            ], token: try self.ownerKey)
        guard made.status == 201, let id = made["id"]?.string else {
            throw Failure(description: "no user: \(made.status) \(made.body)")
        }
        let body: JSON = ["email": .string("\(name)@example.com"), "password": .string(password)]
        let answer = try await self.request("POST", .auth, "/api/v1/auth/login", body)
        guard answer.status == 200, let token = answer["access_token"]?.string else {
            throw Failure(description: "no sign-in: \(answer.status) \(answer.body)")
        }
        return Revocable(token: token, kind: "jwt", method: "POST", path: "/v1/auth/users/\(id)/revoke")
    }

    func revoke(_ credential: Revocable) async throws {
        let answer = try await self.request(credential.method, .auth, credential.path, token: try self.ownerKey)
        guard answer.status == 204 else { throw Failure(description: "not revoked: \(answer.status) \(answer.body)") }
    }
}
