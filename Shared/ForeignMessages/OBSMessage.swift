package import Events

/// What a server says over an obs-websocket connection (contract obs-websocket §2).
package enum OBSMessage: Sendable {
    case hello(OBSHello)
    case identified
    case event(OBSEvent)
    case response(id: String, OBSAnswer)
    case batchResponse(id: String, [OBSAnswer])
    /// Something of a later protocol.
    case other

    /// `nil`: not a message of the protocol.
    package init?(_ bytes: [UInt8]) {
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
package struct OBSHello: Sendable {
    package var websocketVersion: String
    /// `nil`: nobody has to authenticate.
    package var challenge: (challenge: String, salt: String)?

    package init?(_ data: JSON) {
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
package struct OBSEvent: Sendable, Equatable {
    package var type: String
    /// Empty when the event has none.
    package var data: JSON

    package subscript(name: String) -> String? { self.data[name]?.string }
}

/// How a request went.
package struct OBSAnswer: Sendable {
    package var type: String
    package var code: Int
    package var comment: String?
    /// Empty when the answer has none.
    package var data: JSON

    package static let success = 100
    /// OBS changes its scene collection, or ends.
    package static let notReady = 207
    package static let notFound = 600
    package static let alreadyExists = 601
    package static let wrongInputKind = 605

    package init?(_ data: JSON) {
        guard let type = data["requestType"]?.string, let code = data["requestStatus"]?["code"]?.integer else {
            return nil
        }
        self.type = type
        self.code = Int(code)
        self.comment = data["requestStatus"]?["comment"]?.string
        self.data = data["responseData"] ?? [:]
    }

    /// What it says, or why it was refused.
    package func get() throws(OBSFailure) -> JSON {
        guard self.code == Self.success else {
            throw .refused(request: self.type, code: self.code, comment: self.comment)
        }
        return self.data
    }
}

/// One request, as it goes into a message or a batch (contract obs-websocket §6).
package struct OBSRequest: Sendable {
    package var type: String
    package var data: JSON

    package init(_ type: String, _ data: JSON = [:]) {
        self.type = type
        self.data = data
    }

    package func message(id: String) -> [UInt8] {
        let request: JSON = ["requestType": .string(self.type), "requestId": .string(id), "requestData": self.data]
        return JSON.object(["op": 6, "d": request]).bytes
    }

    /// A batch is carried out in order, and to its end whatever fails.
    package static func batch(_ requests: [OBSRequest], id: String) -> [UInt8] {
        let list = requests.map { request -> JSON in
            ["requestType": .string(request.type), "requestData": request.data]
        }
        return JSON.object(["op": 8, "d": ["requestId": .string(id), "requests": .array(list)]]).bytes
    }
}
