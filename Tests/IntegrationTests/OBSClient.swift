import Events
import Foundation
import TestSupport
import Testing

/// Speaks obs-bridge's API of OBS and of its scenes: of the default connection at the contract's own paths, or of one by its name.
struct OBSClient: Sendable {
    let suite: Suite
    private let token: String?
    private let connection: String?

    init(_ suite: Suite, token: String? = nil, connection: String? = nil) {
        self.suite = suite
        self.token = token
        self.connection = connection
    }

    /// - Parameter tail: what follows `/api/obs`, or the connection's own path.
    @discardableResult
    func send(_ method: String, _ tail: String, _ body: JSON? = nil) async throws -> Suite.Answer {
        try await self.send(method, path: self.root + tail, body?.bytes ?? [])
    }

    /// - Parameter tail: what follows `…/{sceneName}/sources`.
    @discardableResult
    func send(_ method: String, scene: String, _ tail: String = "", _ body: JSON? = nil) async throws -> Suite.Answer {
        try await self.send(method, scene: scene, tail, bytes: body?.bytes ?? [])
    }

    @discardableResult
    func send(_ method: String, scene: String, _ tail: String, bytes: [UInt8]) async throws -> Suite.Answer {
        let root = self.connection == nil ? "/api" : self.root
        return try await self.send(method, path: "\(root)/scenes/\(scene.escaped)/sources\(tail)", bytes)
    }

    private var root: String { self.connection.map { "/api/obs/connections/\($0)" } ?? "/api/obs" }

    private func send(_ method: String, path: String, _ bytes: [UInt8]) async throws -> Suite.Answer {
        var headers = bytes.isEmpty ? [] : [("Content-Type", "application/json")]
        if let token = self.token { headers.append(("Authorization", "Bearer \(token)")) }
        let answer = try await HTTPClient.request(
            method, port: self.suite.port(.obsBridge), path: path, headers: headers, body: bytes, within: .seconds(60))
        return Suite.Answer(status: answer.status, headers: answer.headers, body: JSON(parsing: answer.body) ?? .null)
    }

    // MARK: the link

    /// Connects the default connection and waits for it, as the API does.
    @discardableResult
    func connect(_ obs: OBSFixture, _ more: [String: JSON] = [:]) async throws -> Suite.Answer {
        try await self.succeed("POST", "/connect", .object(obs.address.merging(more) { $1 }))
    }

    /// Makes a connection and waits until it has its OBS.
    static func create(
        _ suite: Suite, _ name: String, _ obs: OBSFixture, _ more: [String: JSON] = [:], token: String? = nil
    ) async throws -> OBSClient {
        let body = obs.address.merging(["name": .string(name)]) { $1 }.merging(more) { $1 }
        let answer = try await OBSClient(suite, token: token).send("POST", "/connections", .object(body))
        guard answer.status == 201 else { throw SourcesClient.UnexpectedAnswer(answer: answer) }
        let client = OBSClient(suite, token: token, connection: name)
        try await client.waitUntilConnected()
        return client
    }

    var isConnected: Bool {
        get async throws { try await self.send("GET", "/status")["connected"] == true }
    }

    func waitUntilConnected(_ isConnected: Bool = true, within time: Duration = .seconds(60)) async throws {
        try await Suite.eventually(isConnected ? "OBS is connected" : "OBS is not connected", within: time) {
            try await self.isConnected == isConnected
        }
    }

    /// What `/api/obs/connections/{name}` says of it.
    var resource: JSON {
        get async throws {
            let tail = self.connection == nil ? "/connections/default" : ""
            return try await self.succeed("GET", tail).body
        }
    }

    /// Throws when the answer is an error.
    @discardableResult
    func succeed(_ method: String, _ tail: String, _ body: JSON? = nil) async throws -> Suite.Answer {
        let answer = try await self.send(method, tail, body)
        guard answer.status == 200 else { throw SourcesClient.UnexpectedAnswer(answer: answer) }
        return answer
    }

    // MARK: placements

    /// The placement's config as answered.
    @discardableResult
    func place(_ source: String, in scene: String, _ config: JSON? = nil) async throws -> JSON {
        let answer = try await self.send("POST", scene: scene, "/\(source)", config.map { ["config": $0] })
        guard answer.status == 200, let config = answer["sceneSource"]?["config"] else {
            throw SourcesClient.UnexpectedAnswer(answer: answer)
        }
        return config
    }

    @discardableResult
    func change(_ source: String, in scene: String, _ fields: JSON) async throws -> JSON {
        let answer = try await self.send("PUT", scene: scene, "/\(source)/config", fields)
        guard answer.status == 200, let config = answer["sceneSource"]?["config"] else {
            throw SourcesClient.UnexpectedAnswer(answer: answer)
        }
        return config
    }

    /// The scene's placements as they are stored.
    func placements(in scene: String) async throws -> [JSON] {
        let answer = try await self.send("GET", scene: scene)
        guard answer.status == 200, let sources = answer["sources"]?.array else {
            throw SourcesClient.UnexpectedAnswer(answer: answer)
        }
        return sources
    }

    /// A placement's config as it is stored, `nil` without a placement.
    func config(of source: String, in scene: String) async throws -> JSON? {
        try await self.placements(in: scene).first { $0["id"]?.string == source }?["sceneConfig"]
    }

    // MARK: what was told

    /// The events of these types in the bridge's log, in order.
    func log(_ types: String...) async throws -> [JSON] {
        let query = types.map { "type=\($0)" }.joined(separator: "&")
        return try await self.suite.events(.obsBridge, "limit=1000&\(query)", token: self.token)
    }

    /// All that was told of placements, and of sources changed and deleted.
    func changes() async throws -> [JSON] {
        try await self.log(
            "scenes.sourceAdded", "scenes.sourceRemoved", "scenes.sourceConfigUpdated", "sources.update",
            "sources.delete")
    }

    /// The sum of a counter of the bridge over its labels.
    func metric(_ name: String) async throws -> Double {
        guard let value = try await Suite.metric(name, port: self.suite.port(.obsBridge)) else {
            throw Suite.Failure(description: "no metric \(name)")
        }
        return value
    }
}

extension Suite {
    /// A Source Saver client that has subscribed.
    func listen(_ patterns: [String], token: String? = nil) async throws -> WebSocketClient {
        let client = try await self.connect(0, token.map { "/?token=\($0)" } ?? "/")
        try await client.send(["action": "subscribe", "events": .array(patterns.map(JSON.string))])
        _ = try await client.next { $0["event"] == "subscription:confirmed" }
        return client
    }

    /// Looks again and again for a while whether something stays as it is.
    static func holds(_ what: String, for time: Duration, _ condition: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + time
        while ContinuousClock.now < end {
            guard try await condition() else { throw Failure(description: "no longer so: \(what)") }
            try await Task.sleep(for: .milliseconds(25))
        }
    }
}

extension Suite.Answer {
    /// What a body with `success` and a `message` holds besides; `nil` when the answer is none.
    var outcome: JSON? {
        guard self.status == 200, var members = self.body.object, members.removeValue(forKey: "success") == true,
            members.removeValue(forKey: "message")?.string?.isEmpty == false
        else { return .none }
        return .object(members)
    }
}

extension JSON {
    var keys: Set<String> { Set(self.object?.keys.map { $0 } ?? []) }

    init(_ number: Int) { self = .integer(Int64(number)) }

    /// Whether it is a moment as we write it.
    var isTime: Bool { self.string.flatMap(Timestamp.init(iso8601:)) != nil }

    /// The members that differ from those of `expected`, numbers to OBS's single precision; one that either lacks differs.
    func mismatches(with expected: JSON) -> [String] {
        self.keys.union(expected.keys).sorted().filter { key in
            if let own = self[key]?.double, let other = expected[key]?.double { return abs(own - other) > 0.01 }
            return self[key] != expected[key]
        }
    }

    func merging(_ members: JSON) -> JSON { .object((self.object ?? [:]).merging(members.object ?? [:]) { $1 }) }

    /// A placement's config with nothing said, of a source as `SourcesClient.create` makes it.
    static let defaultConfig: JSON = [
        "x": 0, "y": 0, "width": 800, "height": 600, "scaleX": 1, "scaleY": 1, "rotation": 0, "visible": true,
    ]
}

extension String {
    /// As one segment of a path.
    fileprivate var escaped: String { self.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? self }
}
