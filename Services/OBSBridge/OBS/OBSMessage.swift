import Events

/// What a server says over an obs-websocket connection (contract obs-websocket §2).
enum OBSMessage: Sendable {
    case hello(OBSHello)
    case identified
    case event(OBSEvent)
    case response(id: String, OBSAnswer)
    case batchResponse(id: String, [OBSAnswer])
    /// Something of a later protocol.
    case other

    /// `nil`: not a message of the protocol.
    init?(_ bytes: [UInt8]) {
        guard let message = JSON(parsing: bytes), let op = message["op"]?.integer, let data = message["d"] else {
            return nil
        }
        switch op {
        case 0:
            guard let hello = OBSHello(data) else { return nil }
            self = .hello(hello)
        case 2: self = .identified
        case 5:
            guard let type = data["eventType"]?.string else { return nil }
            self = .event(OBSEvent(type: type, data: data["eventData"] ?? [:]))
        case 7:
            guard let id = data["requestId"]?.string, let answer = OBSAnswer(data) else { return nil }
            self = .response(id: id, answer)
        case 9:
            guard let id = data["requestId"]?.string, let results = data["results"]?.array else { return nil }
            self = .batchResponse(id: id, results.compactMap(OBSAnswer.init))
        default: self = .other
        }
    }
}

/// A server's first words.
struct OBSHello: Sendable {
    var websocketVersion: String
    /// `nil`: nobody has to authenticate.
    var challenge: (challenge: String, salt: String)?

    init?(_ data: JSON) {
        guard let version = data["obsWebSocketVersion"]?.string else { return nil }
        self.websocketVersion = version
        guard let authentication = data["authentication"], authentication != .null else { return }
        guard let challenge = authentication["challenge"]?.string, let salt = authentication["salt"]?.string else {
            return nil
        }
        self.challenge = (challenge, salt)
    }
}

/// Something happened in OBS (contract obs-websocket §5).
struct OBSEvent: Sendable, Equatable {
    var type: String
    /// Empty when the event has none.
    var data: JSON

    subscript(name: String) -> String? { self.data[name]?.string }
}

/// How a request went.
struct OBSAnswer: Sendable {
    var type: String
    var code: Int
    var comment: String?
    /// Empty when the answer has none.
    var data: JSON

    static let success = 100
    /// OBS changes its scene collection, or ends.
    static let notReady = 207
    static let notFound = 600
    static let alreadyExists = 601
    static let wrongInputKind = 605

    init?(_ data: JSON) {
        guard let type = data["requestType"]?.string, let code = data["requestStatus"]?["code"]?.integer else {
            return nil
        }
        self.type = type
        self.code = Int(code)
        self.comment = data["requestStatus"]?["comment"]?.string
        self.data = data["responseData"] ?? [:]
    }

    /// What it says, or why it was refused.
    func get() throws(OBSFailure) -> JSON {
        guard self.code == Self.success else {
            throw .refused(request: self.type, code: self.code, comment: self.comment)
        }
        return self.data
    }
}

/// One request, as it goes into a message or a batch (contract obs-websocket §6).
struct OBSRequest: Sendable {
    var type: String
    var data: JSON

    init(_ type: String, _ data: JSON = [:]) {
        self.type = type
        self.data = data
    }

    func message(id: String) -> [UInt8] {
        let request: JSON = ["requestType": .string(self.type), "requestId": .string(id), "requestData": self.data]
        return JSON.object(["op": 6, "d": request]).bytes
    }

    /// A batch is carried out in order, and to its end whatever fails.
    static func batch(_ requests: [OBSRequest], id: String) -> [UInt8] {
        let list = requests.map { request -> JSON in
            ["requestType": .string(request.type), "requestData": request.data]
        }
        return JSON.object(["op": 8, "d": ["requestId": .string(id), "requests": .array(list)]]).bytes
    }
}

extension JSON {
    /// The value as a whole number; OBS also writes them with a fraction of 0.
    var integer: Int64? { self.double.flatMap { Int64(exactly: $0) } }
}
