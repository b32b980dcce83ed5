import Events

/// What an Airys client asks for.
enum AirysCommand {
    case auth(token: String, Envelope)
    case control(Control, Envelope)
    case subscribe(events: [String]?, cameras: [String]?, Envelope)
    case unsubscribe(events: [String]?, cameras: [String]?, Envelope)
    /// `heartbeat` or `ping`.
    case beat(timestamp: JSON?, Envelope)
    /// A piece of a message.
    case chunk(AirysChunks.Chunk, Envelope)

    /// What every message has.
    struct Envelope {
        var type: String
        var requestID: String?
    }

    struct Control {
        enum Action: String {
            case start, stop, restart, status
            case setQuality = "set_quality"
        }
        let action: Action
        let camera: String
        let settings: JSON?
    }

    private static let tokenMax = 4096
    private static let nameMax = 128
    private static let requestIDMax = 64
    private static let listMax = 1000

    static func parse(_ text: [UInt8]) -> Result<AirysCommand, AirysProblem> {
        guard let message = JSON(parsing: text), message.object != nil, let type = message["type"]?.string else {
            return .failure(AirysProblem("INVALID_MESSAGE", "The message must be an object with a type"))
        }
        var envelope = Envelope(type: type)
        if let id = message["request_id"], id != .null {
            guard let id = id.string, id.unicodeScalars.count <= Self.requestIDMax else {
                return .failure(
                    AirysProblem("INVALID_MESSAGE", "request_id must be a string of at most 64 characters", envelope))
            }
            envelope.requestID = id
        }
        do throws(AirysProblem) {
            return .success(try Self.parse(message, envelope))
        } catch {
            var problem = error
            problem.envelope = envelope
            return .failure(problem)
        }
    }

    /// Returns how many values the text of a JSON message has, without parsing it, and stops counting beyond `max`.
    static func countValues(in text: [UInt8], upTo max: Int) -> Int {
        var count = 1
        var isInString = false
        var isEscaped = false
        for byte in text {
            if isEscaped {
                isEscaped = false
            } else if isInString {
                if byte == UInt8(ascii: "\\") { isEscaped = true }
                if byte == UInt8(ascii: "\"") { isInString = false }
            } else {
                switch byte {
                case UInt8(ascii: "\""): isInString = true
                case UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "{"):
                    count += 1
                    if count > max { return count }
                default: break
                }
            }
        }
        return count
    }

    private static func parse(_ message: JSON, _ envelope: Envelope) throws(AirysProblem) -> AirysCommand {
        switch envelope.type {
        case "auth":
            guard let token = message["token"]?.string, 1...Self.tokenMax ~= token.utf8.count else {
                throw AirysProblem("INVALID_MESSAGE", "token must be a string of 1 to \(Self.tokenMax) bytes")
            }
            return .auth(token: token, envelope)
        case "stream_control": return .control(try Self.control(message), envelope)
        case "subscribe", "unsubscribe":
            let events = try Self.list(message["events"], "events")
            let cameras = try Self.list(message["camera_ids"], "camera_ids")
            if let unknown = events?.first(where: { $0 != "*" && !Airys.known.contains($0) }) {
                throw AirysProblem("INVALID_EVENT", "Unknown event: \(unknown)")
            }
            guard envelope.type == "subscribe" else { return .unsubscribe(events: events, cameras: cameras, envelope) }
            return .subscribe(events: events, cameras: cameras, envelope)
        case "heartbeat", "ping":
            return .beat(
                timestamp: message["timestamp"].flatMap { $0.isNumber || $0.string != nil ? .some($0) : .none },
                envelope)
        case "chunk":
            guard let chunk = AirysChunks.Chunk(message) else {
                throw AirysProblem("INVALID_MESSAGE", "A chunk has id, seq, total and data in base 64")
            }
            return .chunk(chunk, envelope)
        default: throw AirysProblem("UNKNOWN_TYPE", "Unknown type")
        }
    }

    private static func control(_ message: JSON) throws(AirysProblem) -> Control {
        guard let action = message["action"]?.string.flatMap(Control.Action.init(rawValue:)) else {
            throw AirysProblem("INVALID_ACTION", "action must be start, stop, restart, set_quality or status")
        }
        guard let camera = message["camera_id"]?.string, 1...Self.nameMax ~= camera.utf8.count else {
            throw AirysProblem("INVALID_MESSAGE", "camera_id must be a string of 1 to \(Self.nameMax) bytes")
        }
        let settings = message["settings"].flatMap { $0 == .null ? .none : .some($0) }
        if action == .setQuality || settings != nil {
            guard let members = settings?.object, !members.isEmpty, members.allSatisfy(Self.isValid) else {
                throw AirysProblem("INVALID_SETTINGS", "settings are missing or out of range")
            }
        }
        return Control(action: action, camera: camera, settings: settings)
    }

    private static let ranges: [String: ClosedRange<Int64>] = [
        "bitrate_kbps": 64...50_000, "width": 16...7680, "height": 16...4320,
    ]

    private static func isValid(name: String, value: JSON) -> Bool {
        if name == "adaptive_bitrate" { return value.bool != nil }
        // Frame rates such as 29.97 are usual.
        if name == "frame_rate" { return value.double.map((1...120).contains) ?? false }
        guard let range = Self.ranges[name], case .integer(let number) = value else { return false }
        return range.contains(number)
    }

    /// A list of names, each once; `nil` when it is left out or empty, which means all.
    private static func list(_ value: JSON?, _ name: String) throws(AirysProblem) -> [String]? {
        guard let value, value != .null else { return nil }
        guard let names = value.strings, names.count <= Self.listMax,
            names.allSatisfy({ $0.utf8.count <= Self.nameMax })
        else {
            throw AirysProblem("INVALID_MESSAGE", "\(name) must be an array of names")
        }
        return names.isEmpty ? nil : names.unique
    }

    var envelope: Envelope {
        switch self {
        case .auth(_, let envelope), .control(_, let envelope), .subscribe(_, _, let envelope),
            .unsubscribe(_, _, let envelope), .beat(_, let envelope), .chunk(_, let envelope):
            envelope
        }
    }
}

extension Result<AirysCommand, AirysProblem> {
    var envelope: AirysCommand.Envelope? {
        switch self {
        case .success(let command): command.envelope
        case .failure(let problem): problem.envelope
        }
    }
}

/// Why a command is not carried out.
struct AirysProblem: Error {
    let code: String
    let message: String
    var details: JSON = [:]
    var envelope: AirysCommand.Envelope?

    init(_ code: String, _ message: String, _ envelope: AirysCommand.Envelope? = nil, details: JSON = [:]) {
        self.code = code
        self.message = message
        self.envelope = envelope
        self.details = details
    }

    /// What the failure of camera control means to the client.
    init(_ failure: CommandFailure, _ envelope: AirysCommand.Envelope) {
        switch failure.code {
        case .notFound: self.init("CAMERA_NOT_FOUND", "There is no such camera", envelope)
        case .forbidden, .unauthenticated: self.init("FORBIDDEN", "The token does not allow this", envelope)
        case .invalid: self.init("INVALID_SETTINGS", failure.message, envelope)
        case .conflict, .limited, .unavailable, .deadlineExceeded, .unknownCommand, .internalError:
            self.init("CONTROL_FAILED", "The camera service cannot do this now", envelope)
        }
    }

    /// A login that is not well-formed, in contrast to anything else before the login.
    var isOfAuth: Bool { self.envelope?.type == "auth" }
}

/// What the server says besides events.
enum AirysReply {
    static func ack(_ control: AirysCommand.Control, _ envelope: AirysCommand.Envelope) -> SessionAction {
        let data: [String: JSON] = [
            "ref": "stream_control", "action": .string(control.action.rawValue), "camera_id": .string(control.camera),
            "accepted": true,
        ]
        return Self.send("ack", data, envelope)
    }

    /// The state of a camera's stream, told to one client.
    static func snapshot(_ status: JSON) -> SessionAction {
        var data = status.object ?? [:]
        data["event"] = "status"
        return Self.send("stream_status", data, nil)
    }

    static func error(_ problem: AirysProblem) -> SessionAction { .send(Self.frame(problem)) }

    static func frame(_ problem: AirysProblem) -> [UInt8] {
        let data: [String: JSON] = [
            "code": .string(problem.code), "message": .string(problem.message), "details": problem.details,
        ]
        return Self.frame("error", data, problem.envelope)
    }

    static func send(_ type: String, _ data: [String: JSON], _ envelope: AirysCommand.Envelope?) -> SessionAction {
        .send(Self.frame(type, data, envelope))
    }

    private static func frame(_ type: String, _ data: [String: JSON], _ envelope: AirysCommand.Envelope?) -> [UInt8] {
        var data = data
        if let id = envelope?.requestID { data["request_id"] = .string(id) }
        return JSON.object(["type": .string(type), "data": .object(data)]).bytes
    }
}
