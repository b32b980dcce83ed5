internal import Events
internal import Foundation
internal import NIOCore
internal import NIOWebSocket

/// The server side of a fake OBS: who is connected, and what is said to whom. It is behind a lock, so nothing here waits or calls
/// back: what goes out is given to the connection's loop.
struct FakeOBSState: Sendable {
    struct Session: Sendable {
        let channel: any Channel
        let challenge = Data((0..<32).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()
        var isIdentified = false
        var isClosing = false
        var eventSubscriptions = 0
        var heldAnswers: [JSON] = []

        func write(_ opcode: WebSocketOpcode, _ bytes: [UInt8]) {
            self.channel.eventLoop.execute {
                let frame = WebSocketFrame(fin: true, opcode: opcode, data: ByteBuffer(bytes: bytes))
                self.channel.writeAndFlush(frame, promise: nil)
            }
        }
    }

    /// The one that ends a connection.
    private struct Closing: Error { let code: UInt16 }

    var model: FakeOBSModel
    var sessions: [Int: Session] = [:]
    var connectionsMade = 0
    var messagesReceived = 0
    /// The proof in every Identify that had one, and the challenge that it answers.
    var proofs: [(text: String, challenge: String)] = []
    var requests: [(type: String, data: JSON)] = []
    var refusals: [String: (refusal: OBSRefusal, times: Int)] = [:]
    var answers: [String: [String: JSON]] = [:]
    var isStalled = false
    private var heldMessages: [(text: [UInt8], session: Int)] = []
    private var heldOpenings: [EventLoopPromise<Void>] = []
    let salt = Data((0..<32).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()

    init(_ model: FakeOBSModel) { self.model = model }

    // MARK: connections

    /// Keeps the promise for later if there is a later.
    mutating func waitUntilAwake(_ promise: EventLoopPromise<Void>) -> Bool {
        if self.isStalled { self.heldOpenings.append(promise) }
        return self.isStalled
    }

    /// Returns who waits to be connected.
    mutating func resume() -> [EventLoopPromise<Void>] {
        self.isStalled = false
        let messages = self.heldMessages
        self.heldMessages = []
        for (text, session) in messages { self.read(text, from: session) }
        for session in self.sessions.keys { self.release(session) }
        self.tell()
        defer { self.heldOpenings = [] }
        return self.heldOpenings
    }

    mutating func open(_ channel: any Channel) -> Int {
        self.connectionsMade += 1
        let session = Session(channel: channel)
        self.sessions[self.connectionsMade] = session
        var hello: [String: JSON] = [
            "obsStudioVersion": .string(self.model.settings.obsVersion),
            "obsWebSocketVersion": .string(self.model.settings.websocketVersion), "rpcVersion": 1,
        ]
        if self.model.settings.password != nil {
            hello["authentication"] = ["salt": .string(self.salt), "challenge": .string(session.challenge)]
        }
        self.send(0, hello, to: self.connectionsMade)
        return self.connectionsMade
    }

    mutating func closed(_ id: Int) { self.sessions[id] = nil }

    mutating func closeAll(_ code: UInt16) { for id in self.sessions.keys { self.close(id, code) } }

    mutating func close(_ id: Int, _ code: UInt16) {
        guard let session = self.sessions[id], !session.isClosing else { return }
        self.sessions[id]?.isClosing = true
        session.write(.connectionClose, [UInt8(code >> 8), UInt8(code & 0xff)])
        // The client's own CLOSE ends it sooner.
        session.channel.eventLoop.scheduleTask(in: .seconds(1)) { session.channel.close(promise: nil) }
    }

    // MARK: messages

    mutating func take(_ text: [UInt8], from id: Int) {
        self.messagesReceived += 1
        if self.isStalled { self.heldMessages.append((text, id)) } else { self.read(text, from: id) }
    }

    private mutating func read(_ text: [UInt8], from id: Int) {
        guard self.sessions[id]?.isClosing == false else { return }
        do {
            guard let message = JSON(parsing: text) else { throw Closing(code: 4002) }
            guard let op = message["op"]?.double, let data = message["d"]?.object else { throw Closing(code: 4003) }
            try self.read(op, data, from: id)
        } catch let closing as Closing {
            self.close(id, closing.code)
        } catch {
            preconditionFailure("an error of no kind: \(error)")
        }
    }

    private mutating func read(_ op: Double, _ data: [String: JSON], from id: Int) throws {
        let isIdentified = self.sessions[id]?.isIdentified ?? false
        guard [1, 3, 6, 8].contains(op) else { throw Closing(code: 4006) }
        guard isIdentified || op == 1 else { throw Closing(code: 4007) }
        switch op {
        case 1:
            if isIdentified { throw Closing(code: 4008) }
            try self.identify(data, id)
        case 3: try self.subscribe(data, id)
        case 6:
            guard let requestID = data["requestId"]?.string else { throw Closing(code: 4003) }
            self.answer(7, self.result(of: data).merging(["requestId": .string(requestID)]) { $1 }, to: id)
        default:
            guard let requestID = data["requestId"]?.string, let batch = data["requests"]?.array else {
                throw Closing(code: 4003)
            }
            let results = self.results(of: batch, halts: data["haltOnFailure"]?.bool ?? false)
            self.answer(9, ["requestId": .string(requestID), "results": .array(results)], to: id)
        }
    }

    private mutating func identify(_ data: [String: JSON], _ id: Int) throws {
        if let proof = data["authentication"]?.string {
            self.proofs.append((proof, self.sessions[id]?.challenge ?? ""))
        }
        if let code = self.model.settings.closeAtIdentify { throw Closing(code: code) }
        if let password = self.model.settings.password {
            let wanted = OBSHand.authentication(
                password, salt: self.salt, challenge: self.sessions[id]?.challenge ?? "")
            guard data["authentication"]?.string == wanted else { throw Closing(code: 4009) }
        }
        guard let version = data["rpcVersion"] else { throw Closing(code: 4003) }
        guard version.double != nil else { throw Closing(code: 4004) }
        guard version == 1 else { throw Closing(code: 4010) }
        self.sessions[id]?.eventSubscriptions = 2047
        self.sessions[id]?.isIdentified = true
        try self.subscribe(data, id)
    }

    private mutating func subscribe(_ data: [String: JSON], _ id: Int) throws {
        if let wanted = data["eventSubscriptions"] {
            guard let mask = wanted.double.flatMap({ Int(exactly: $0) }), mask >= 0 else { throw Closing(code: 4004) }
            self.sessions[id]?.eventSubscriptions = mask
        }
        self.send(2, ["negotiatedRpcVersion": 1], to: id)
    }

    // MARK: requests

    private mutating func results(of batch: [JSON], halts: Bool) -> [JSON] {
        var results: [JSON] = []
        for request in batch {
            var result = self.result(of: request.object ?? [:])
            if let id = request["requestId"] { result["requestId"] = id }
            results.append(.object(result))
            if halts && result["requestStatus"]?["result"] != true { break }
        }
        return results
    }

    private mutating func result(of request: [String: JSON]) -> [String: JSON] {
        let type = request["requestType"]?.string ?? ""
        var result: [String: JSON] = ["requestType": .string(type)]
        do {
            let data = try self.perform(type, request["requestData"] ?? [:])
            if !data.isEmpty { result["responseData"] = self.model.dressed(.object(data)) }
            result["requestStatus"] = ["result": true, "code": 100]
        } catch let refusal as OBSRefusal {
            let code = JSON.integer(Int64(refusal.code))
            result["requestStatus"] = ["result": false, "code": code, "comment": .string(refusal.comment)]
        } catch {
            preconditionFailure("an error of no kind: \(error)")
        }
        return result
    }

    private mutating func perform(_ type: String, _ data: JSON) throws -> [String: JSON] {
        self.requests.append((type, data))
        if self.model.settings.isNotReady { throw OBSRefusal(code: 207, comment: "OBS is not ready") }
        if let (refusal, times) = self.refusals[type] {
            self.refusals[type] = times > 1 ? (refusal, times - 1) : nil
            throw refusal
        }
        let answer = try self.model.answer(type, data)
        return answer.merging(self.answers[type] ?? [:]) { $1 }
    }

    // MARK: what goes out

    private mutating func answer(_ op: JSON, _ data: [String: JSON], to id: Int) {
        if !self.model.settings.answersBeforeEvents { self.tell() }
        if self.model.settings.answersOutOfOrder {
            self.sessions[id]?.heldAnswers.append(["op": op, "d": .object(data)])
            if let held = self.sessions[id]?.heldAnswers, held.count >= 2 { self.release(id) }
        } else {
            self.send(op, data, to: id)
        }
        self.tell()
    }

    /// Sends the held answers, the last one first.
    mutating func release(_ id: Int) {
        guard let session = self.sessions[id], !self.isStalled else { return }
        self.sessions[id]?.heldAnswers = []
        for answer in session.heldAnswers.reversed() { session.write(.text, self.model.text(of: answer)) }
    }

    /// Tells those who want to know what has happened.
    mutating func tell() {
        guard !self.isStalled else { return }
        for event in self.model.takeEvents() {
            var data: [String: JSON] = [
                "eventType": .string(event.type), "eventIntent": .integer(Int64(event.intent)),
            ]
            if let more = event.data { data["eventData"] = self.model.dressed(.object(more)) }
            let bytes = self.model.text(of: ["op": 5, "d": .object(data)])
            for session in self.sessions.values where session.isIdentified && !session.isClosing {
                if session.eventSubscriptions & event.intent != 0 { session.write(.text, bytes) }
            }
        }
    }

    private func send(_ op: JSON, _ data: [String: JSON], to id: Int) {
        self.sessions[id]?.write(.text, self.model.text(of: ["op": op, "d": .object(data)]))
    }
}
