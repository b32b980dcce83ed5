internal import Crypto
public import Events
internal import Foundation
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// The status of a request that OBS turned down.
public struct OBSRefusal: Error, Equatable, Sendable {
    public let code: Int
    public let comment: String

    public init(code: Int, comment: String) {
        self.code = code
        self.comment = comment
    }
}

/// Somebody who works in OBS by hand: what a test wants done there behind the bridge's back.
public final class OBSHand: Sendable {
    public typealias Event = (type: String, data: JSON)

    private struct State {
        var lastID = 0
        var pending: [String: EventLoopPromise<JSON>] = [:]
        var events: [Event] = []
        var end: (any Error)?
    }

    private let client: WebSocketClient
    private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
    private let state = NIOLockedValueBox(State())
    private let reader = NIOLockedValueBox<Task<Void, Never>?>(nil)

    /// Connects and identifies.
    /// - Parameter eventSubscriptions: the mask of the events to hear; none unless asked for.
    public static func connect(port: Int, password: String, eventSubscriptions: Int = 0) async throws -> OBSHand {
        let client = try await WebSocketClient.connect(
            port: port, headers: [("Sec-WebSocket-Protocol", "obswebsocket.json")])
        let hello = try Self.parse(try await client.nextText())
        var identify: [String: JSON] = ["rpcVersion": 1, "eventSubscriptions": .integer(Int64(eventSubscriptions))]
        if let asked = hello["d"]?["authentication"] {
            identify["authentication"] = .string(
                Self.authentication(
                    password, salt: asked["salt"]?.string ?? "", challenge: asked["challenge"]?.string ?? ""))
        }
        try await client.send(text: Self.text(["op": 1, "d": .object(identify)]))
        _ = try await client.nextText()
        let hand = OBSHand(client)
        hand.reader.withLockedValue { $0 = Task { await hand.read() } }
        return hand
    }

    private init(_ client: WebSocketClient) { self.client = client }

    /// Sends a request and gives the data of its answer, empty if there are none.
    @discardableResult
    public func request(_ type: String, _ data: JSON = [:]) async throws -> JSON {
        let answer = try await self.ask(6, ["requestType": .string(type), "requestData": data])
        let status = answer["requestStatus"]
        guard status?["result"] == true else {
            throw OBSRefusal(
                code: status?["code"]?.double.map { Int($0) } ?? 0, comment: status?["comment"]?.string ?? "")
        }
        return answer["responseData"] ?? [:]
    }

    /// Sends requests as one batch and gives the results as they came.
    public func batch(_ requests: [(type: String, data: JSON)]) async throws -> [JSON] {
        let requests = requests.map { JSON.object(["requestType": .string($0.type), "requestData": $0.data]) }
        return try await self.ask(8, ["requests": .array(requests)])["results"]?.array ?? []
    }

    /// What OBS has told so far.
    public var events: [Event] { self.state.withLockedValue { $0.events } }

    /// Waits until the connection ends and gives the close code (1006: without one).
    public func closeCode(within time: Duration = .seconds(30)) async throws -> UInt16 {
        try await self.client.closeCode(within: time)
    }

    public func close() async {
        // `try?`: OBS may have closed it.
        try? await self.client.close()
        await self.reader.withLockedValue { $0 }?.value
    }

    private func ask(_ op: JSON, _ members: [String: JSON]) async throws -> JSON {
        let promise = self.eventLoop.makePromise(of: JSON.self)
        let (id, end) = self.state.withLockedValue { state in
            state.lastID += 1
            if state.end == nil { state.pending["\(state.lastID)"] = promise }
            return ("\(state.lastID)", state.end)
        }
        if let end { promise.fail(end) }
        let timeout = self.eventLoop.scheduleTask(in: .seconds(30)) { promise.fail(WebSocketClientError.timedOut) }
        defer { timeout.cancel() }
        let message: JSON = .object(members.merging(["requestId": .string(id)]) { $1 })
        do {
            try await self.client.send(text: Self.text(["op": op, "d": message]))
        } catch {
            // The reader may have failed it already, with a better reason.
            promise.fail(error)
        }
        return try await promise.futureResult.get()
    }

    private func read() async {
        do {
            while true {
                let message = try Self.parse(try await self.client.nextText(within: .seconds(24 * 3600)))
                self.take(message["op"]?.double ?? -1, message["d"] ?? [:])
            }
        } catch {
            let pending = self.state.withLockedValue { state in
                state.end = error
                defer { state.pending = [:] }
                return state.pending.values
            }
            for promise in pending { promise.fail(error) }
        }
    }

    private func take(_ op: Double, _ data: JSON) {
        if op == 5 {
            let event = (data["eventType"]?.string ?? "", data["eventData"] ?? [:])
            return self.state.withLockedValue { $0.events.append(event) }
        }
        let id = data["requestId"]?.string ?? ""
        self.state.withLockedValue { $0.pending.removeValue(forKey: id) }?.succeed(data)
    }

    /// What obs-websocket asks for in place of a password.
    static func authentication(_ password: String, salt: String, challenge: String) -> String {
        func digest(_ text: String) -> String { Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString() }
        return digest(digest(password + salt) + challenge)
    }

    private static func text(_ message: JSON) -> String { String(decoding: message.bytes, as: UTF8.self) }

    private static func parse(_ text: String) throws -> JSON {
        guard let message = JSON(parsing: Array(text.utf8)) else {
            throw OBSRefusal(code: 0, comment: "not JSON: \(text)")
        }
        return message
    }
}
