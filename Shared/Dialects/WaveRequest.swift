import Events

/// What a WAVE client asks for.
enum WaveRequest {
    /// Without events: all that there are of the stream.
    case subscribe(stream: String, events: [String])
    case unsubscribe(stream: String)
    case chat(stream: String, message: String)
    case reaction(stream: String, reaction: String)
    case ping(timestamp: JSON?)
    case pong

    private static let streamMax = 128
    private static let messageMax = 1000
    private static let reactionBytesMax = 32

    static func parse(_ text: [UInt8]) -> Result<WaveRequest, WaveProblem> {
        guard let message = JSON(parsing: text), let own = message.object else {
            return .failure(WaveProblem(field: "message", reason: "not a JSON object"))
        }
        // Fields may stand in a payload, as the schema has them, or beside the type, as the examples have them; those win.
        let fields = (own["payload"]?.object ?? [:]).merging(own) { _, own in own }
        guard let type = own["type"]?.string else {
            return .failure(WaveProblem(field: "type", reason: "not a string"))
        }
        do throws(WaveProblem) {
            return .success(try Self.parse(type, fields))
        } catch {
            var problem = error
            problem.requestType = type
            return .failure(problem)
        }
    }

    private static func parse(_ type: String, _ fields: [String: JSON]) throws(WaveProblem) -> WaveRequest {
        switch type {
        case "ping": return .ping(timestamp: fields["timestamp"].flatMap { $0.isNumber ? .some($0) : .none })
        case "pong": return .pong
        case "subscribe": return .subscribe(stream: try Self.stream(of: fields), events: try Self.events(of: fields))
        case "unsubscribe": return .unsubscribe(stream: try Self.stream(of: fields))
        case "chat.message":
            let stream = try Self.stream(of: fields)
            guard let message = fields["message"]?.string, 1...Self.messageMax ~= message.unicodeScalars.count else {
                throw WaveProblem(field: "message", reason: "not a string of 1 to \(Self.messageMax) characters")
            }
            return .chat(stream: stream, message: message)
        case "reaction.sent":
            let stream = try Self.stream(of: fields)
            guard let reaction = fields["reaction"]?.string, Self.isEmoji(reaction) else {
                throw WaveProblem(field: "reaction", reason: "not one emoji")
            }
            return .reaction(stream: stream, reaction: reaction)
        default: throw WaveProblem(field: "type", reason: "unknown")
        }
    }

    private static func stream(of fields: [String: JSON]) throws(WaveProblem) -> String {
        guard let stream = fields["stream_id"]?.string, 1...Self.streamMax ~= stream.utf8.count else {
            throw WaveProblem(field: "stream_id", reason: "not a string of 1 to \(Self.streamMax) bytes")
        }
        return stream
    }

    private static func events(of fields: [String: JSON]) throws(WaveProblem) -> [String] {
        guard let events = fields["events"], events != .null else { return [] }
        guard let names = events.strings else { throw WaveProblem(field: "events", reason: "not an array of strings") }
        if let unknown = names.first(where: { Wave.types[$0] == nil }) {
            throw WaveProblem(field: "events", reason: "unknown event: \(unknown.prefix(128))")
        }
        return names.unique
    }

    private static func isEmoji(_ text: String) -> Bool {
        guard text.utf8.count <= Self.reactionBytesMax, text.count == 1 else { return false }
        // Digits are emoji only together with what makes them keycaps.
        return text.unicodeScalars.contains { scalar in
            scalar.properties.isEmoji && (!scalar.isASCII || text.unicodeScalars.count > 1)
        }
    }

    /// Its `type` on the wire.
    var type: String {
        switch self {
        case .subscribe: "subscribe"
        case .unsubscribe: "unsubscribe"
        case .chat: "chat.message"
        case .reaction: "reaction.sent"
        case .ping: "ping"
        case .pong: "pong"
        }
    }

    /// What it says besides the stream.
    fileprivate var ownField: String {
        switch self {
        case .chat: "message"
        case .reaction: "reaction"
        case .subscribe, .unsubscribe, .ping, .pong: "stream_id"
        }
    }

    var stream: String? {
        switch self {
        case .subscribe(let stream, _), .unsubscribe(let stream), .chat(let stream, _), .reaction(let stream, _): stream
        case .ping, .pong: nil
        }
    }
}

/// Why a request is not carried out.
struct WaveProblem: Error {
    var code = "VALIDATION_ERROR"
    var message = "The message is not valid"
    var details: [String: JSON]
    var requestType: String?

    init(field: String, reason: String, of request: WaveRequest? = nil) {
        self.details = ["field": .string(field), "reason": .string(reason)]
        self.requestType = request?.type
    }

    /// What the failure of a command means to the client.
    init(_ failure: CommandFailure, of request: WaveRequest) {
        (self.code, self.message) =
            switch failure.code {
            case .notFound: ("NOT_FOUND", "There is no such stream")
            case .forbidden, .unauthenticated: ("FORBIDDEN", "The key does not allow this")
            case .invalid: ("VALIDATION_ERROR", failure.message)
            case .conflict: ("VALIDATION_ERROR", "The stream's state does not allow this")
            case .limited: ("RATE_LIMITED", failure.message)
            case .unavailable: ("SERVICE_UNAVAILABLE", "Try again later")
            case .deadlineExceeded: ("TIMEOUT", "The service did not answer in time")
            case .unknownCommand, .internalError: ("INTERNAL_ERROR", "Something went wrong")
            }
        self.details = request.stream.map { ["stream_id": .string($0)] } ?? [:]
        if self.code == "VALIDATION_ERROR" {
            self.details["field"] = failure.code == .conflict ? "stream_id" : .string(request.ownField)
            self.details["reason"] = .string(self.message)
        }
        if failure.code == .limited { self.details["retry_after"] = .integer(Int64(failure.retryAfter ?? 60)) }
        self.requestType = request.type
    }
}

/// What the server says besides events.
enum WaveReply {
    static let rateLimited = Self.frame(
        "error", ["code": "RATE_LIMITED", "message": "Too many requests", "details": ["retry_after": 60]])

    static func error(_ problem: WaveProblem) -> SessionAction {
        var details = problem.details
        if let type = problem.requestType { details["request_type"] = .string(type) }
        return Self.error(problem.code, problem.message, .object(details))
    }

    static func error(_ code: String, _ message: String, _ details: JSON = [:]) -> SessionAction {
        Self.send("error", ["code": .string(code), "message": .string(message), "details": details])
    }

    static func send(_ type: String, _ payload: JSON) -> SessionAction { .send(Self.frame(type, payload)) }

    static func frame(_ type: String, _ payload: JSON) -> [UInt8] {
        JSON.object(["type": .string(type), "payload": payload]).bytes
    }
}
