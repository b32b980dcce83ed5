import Events

/// What an Astro client asks for.
enum AstroCommand {
    case subscribe(Subscribe)
    /// An empty room means all of the topic's rooms.
    case unsubscribe(topic: String, room: String, nonce: String?)

    struct Subscribe {
        let topic: CatalogueEntry
        let room: String
        let credential: Credential
        let nonce: String?
    }

    /// Why a message is none.
    struct Problem: Error {
        var error = "err_bad_request"
        let message: String
        var nonce: String?
    }

    private static let nonceMax = 128
    private static let roomMax = 128
    private static let tokenMax = 4096
    private static let kinds: [String: CredentialKind] = [
        "jwt": .jwt, "oauth2": .oauth2, "oauth": .oauth2, "apikey": .apiKey,
    ]

    static func parse(_ text: [UInt8]) -> Result<AstroCommand, Problem> {
        guard let message = JSON(parsing: text), message.object != nil else {
            return .failure(Problem(message: "the message is not a JSON object"))
        }
        guard message["nonce"] != .null, let nonce = Self.text(message["nonce"], max: Self.nonceMax) else {
            return .failure(Problem(message: "nonce must be a string of at most \(Self.nonceMax) characters"))
        }
        do throws(Problem) {
            return .success(try Self.parse(message, nonce: message["nonce"]?.string == nil ? nil : nonce))
        } catch {
            var problem = error
            problem.nonce = message["nonce"]?.string
            return .failure(problem)
        }
    }

    private static func parse(_ message: JSON, nonce: String?) throws(Problem) -> AstroCommand {
        guard let type = message["type"]?.string else { throw Problem(message: "type must be a string") }
        guard type == "subscribe" || type == "unsubscribe" else {
            throw Problem(error: "invalid_message_type", message: "unknown message type")
        }
        guard let data = message["data"], data.object != nil else { throw Problem(message: "data must be an object") }
        guard let name = data["topic"]?.string, let topic = Astro.topics[name] else {
            throw Problem(message: "unknown topic")
        }
        guard let room = Self.text(data["room"], max: Self.roomMax) else {
            throw Problem(message: "room must be a string of at most \(Self.roomMax) characters")
        }
        guard type == "subscribe" else { return .unsubscribe(topic: name, room: room, nonce: nonce) }
        guard let token = Self.text(data["token"], max: Self.tokenMax), !token.isEmpty else {
            throw Problem(message: "token must be a string of at most \(Self.tokenMax) characters")
        }
        guard let kind = data["token_type"]?.string.flatMap({ Self.kinds[$0] }) else {
            throw Problem(message: "token_type must be jwt, oauth2 or apikey")
        }
        return .subscribe(Subscribe(topic: topic, room: room, credential: Credential(token, kind: kind), nonce: nonce))
    }

    /// A string of limited length, empty when it is left out; `nil` for anything else.
    private static func text(_ value: JSON?, max: Int) -> String? {
        guard let value, value != .null else { return "" }
        guard let text = value.string, text.unicodeScalars.count <= max else { return nil }
        return text
    }
}

/// What the server says besides events.
enum AstroReply {
    static func success(_ message: String, topic: String, room: String, nonce: String?, at now: Timestamp)
        -> SessionAction
    {
        let data: JSON = ["message": .string(message), "topic": .string(topic), "room": .string(room)]
        return Self.send(type: "response", data, nonce: nonce, at: now)
    }

    /// `error` is left out of successes altogether: clients take the key itself for a failure.
    static func error(
        _ error: String, _ message: String, details: JSON = [:], nonce: String?, at now: Timestamp
    ) -> SessionAction {
        var data = details.object ?? [:]
        data["message"] = .string(message)
        return Self.send(type: "response", .object(data), nonce: nonce, error: error, at: now)
    }

    static func send(
        type: String, _ data: JSON, nonce: String? = nil, error: String? = nil, at now: Timestamp
    ) -> SessionAction {
        var message: [String: JSON] = [
            "id": .string(ULID(at: now).text), "ts": .string(now.rfc3339), "type": .string(type), "data": data,
        ]
        if let nonce { message["nonce"] = .string(nonce) }
        if let error { message["error"] = .string(error) }
        return .send(json: .object(message))
    }
}
