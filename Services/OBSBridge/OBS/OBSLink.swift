import Events
import ForeignMessages
import Metrics
import NIOConcurrencyHelpers
import Threads
import WebSockets

/// A connection to one OBS, identified: requests with answers, and what OBS tells by itself.
///
/// Answers may come in any order. At most 64 requests are on their way; the others wait their turn.
final class OBSLink: Sendable {
    private struct Waiting {
        let request: String
        let answer: Pending<Result<[OBSAnswer], OBSFailure>>
        let deadline: ContinuousClock.Instant
    }

    private struct State {
        var nextID: UInt64 = 0
        var waiting: [String: Waiting] = [:]
        /// Those that wait for their turn, in order.
        var turns: [Pending<Void>] = []
        var inFlight = 0
        /// When the first request was sent after the last answer; `nil`: all is answered, or was at some time since.
        var askedSince: ContinuousClock.Instant?
        var ending: OBSLinkFailure?
    }

    let websocketVersion: String
    private let connection: ClientConnection
    private let heard: @Sendable (OBSEvent) -> Void
    private let state = NIOLockedValueBox(State())
    private let counter = Counter(label: "obs_bridge_requests_total")

    static let inFlightMax = 64
    static let requestTimeout = Duration.seconds(10)
    /// How long OBS may leave everything unanswered: long enough for a busy one.
    static let silenceMax = Duration.seconds(15)

    private init(_ connection: ClientConnection, version: String, heard: @escaping @Sendable (OBSEvent) -> Void) {
        self.connection = connection
        self.websocketVersion = version
        self.heard = heard
    }

    /// One that came too late for `open` is nobody's.
    deinit { self.connection.drop() }

    /// Connects and identifies itself. `run` has to run for anything to be answered.
    /// - Parameter heard: is given each event in order, by `run`; it must not wait.
    static func open(
        _ address: ServerAddress, password: String?, loop: ClientLoop, within timeout: Duration,
        heard: @escaping @Sendable (OBSEvent) -> Void
    ) async throws -> OBSLink {
        try await withThrowingTaskGroup(of: OBSLink.self) { group in
            group.addTask { try await Self.open(address, password, loop, heard) }
            group.addTask {
                try await Task.sleep(for: timeout)
                throw OBSLinkFailure.unreachable("no answer from \(address) within \(timeout.components.seconds) s")
            }
            defer { group.cancelAll() }
            guard let link = try await group.next() else { throw CancellationError() }
            return link
        }
    }

    private static func open(
        _ address: ServerAddress, _ password: String?, _ loop: ClientLoop,
        _ heard: @escaping @Sendable (OBSEvent) -> Void
    ) async throws -> OBSLink {
        let connection: ClientConnection
        do {
            connection = try await loop.open(address, subprotocol: "obswebsocket.json")
        } catch {
            guard case .notConnected(let reason) = error else { throw error }
            throw OBSLinkFailure.unreachable(reason)
        }
        var handshake = OBSHandshake(password: password)
        for await message in connection.messages {
            switch handshake.received(OBSMessage(message)) {
            case .send(let bytes):
                guard connection.send(text: bytes) else {
                    throw OBSLinkFailure.unreachable("too much waits to be sent")
                }
            case .done(let version): return OBSLink(connection, version: version, heard: heard)
            case .fail(let reason):
                connection.close()
                throw OBSLinkFailure.unreachable(reason)
            case .wait: break
            }
        }
        connection.drop()
        try Task.checkCancellation()
        throw Self.failure(connection.ending)
    }

    private static func failure(_ ending: ClientConnection.Ending?) -> OBSLinkFailure {
        guard let ending else { return .lost("the connection was lost") }
        return ending.code.map { .closed(code: $0, reason: ending.reason) } ?? .lost(ending.reason)
    }

    // MARK: requests

    /// Sends one request and gives its answer. While OBS changes its scene collection it is sent again, until the time is over.
    @discardableResult
    func request(_ type: String, _ data: JSON = [:]) async throws(OBSFailure) -> JSON {
        let request = OBSRequest(type, data)
        let deadline = ContinuousClock.now + Self.requestTimeout
        while true {
            guard let answer = try await self.exchange(type, request.message(id:)).first else {
                throw .timedOut(request: type)
            }
            let isOver = ContinuousClock.now + .milliseconds(250) > deadline
            guard answer.code == OBSAnswer.notReady, !isOver, !Task.isCancelled else { return try answer.get() }
            // `try?`: cancelled, it is tried once more and given up.
            try? await Task.sleep(for: .milliseconds(250))
        }
    }

    /// Sends requests in batches, which OBS carries out in order; what one of them fails for does not stop the others.
    func batch(_ requests: [OBSRequest]) async throws(OBSFailure) -> [OBSAnswer] {
        var answers: [OBSAnswer] = []
        for start in stride(from: 0, to: requests.count, by: Self.batchMax) {
            let part = Array(requests[start..<min(start + Self.batchMax, requests.count)])
            let results = try await self.exchange("RequestBatch") { OBSRequest.batch(part, id: $0) }
            guard results.count == part.count else { throw .timedOut(request: "RequestBatch") }
            answers += results
        }
        return answers
    }

    /// Few enough that OBS carries them out between two frames or so, and answers other requests in time.
    private static let batchMax = 50

    /// Asks for something small to see whether anybody is there; whatever is answered is good.
    func probe() async throws(OBSFailure) -> OBSAnswer {
        guard let answer = try await self.exchange("GetStats", OBSRequest("GetStats").message(id:)).first else {
            throw .timedOut(request: "GetStats")
        }
        return answer
    }

    private func exchange(_ type: String, _ message: (String) -> [UInt8]) async throws(OBSFailure) -> [OBSAnswer] {
        await self.takeTurn()
        defer { self.passTurn() }
        let answer = Pending<Result<[OBSAnswer], OBSFailure>>()
        let id = self.state.withLockedValue { state -> String? in
            guard state.ending == nil else { return nil }
            state.nextID += 1
            let id = String(state.nextID)
            state.askedSince = state.askedSince ?? .now
            state.waiting[id] = Waiting(request: type, answer: answer, deadline: .now + Self.requestTimeout)
            return id
        }
        guard let id else { throw .notConnected }
        self.counter.increment()
        if !self.connection.send(text: message(id)) {
            self.state.withLockedValue { $0.waiting[id] = nil }
            throw .notConnected
        }
        return try await answer.value().get()
    }

    private func takeTurn() async {
        let turn = Pending<Void>()
        let mustWait = self.state.withLockedValue { state -> Bool in
            guard state.inFlight >= Self.inFlightMax else {
                state.inFlight += 1
                return false
            }
            state.turns.append(turn)
            return true
        }
        if mustWait { await turn.value() }
    }

    private func passTurn() {
        let next = self.state.withLockedValue { state -> Pending<Void>? in
            guard !state.turns.isEmpty else {
                state.inFlight -= 1
                return nil
            }
            return state.turns.removeFirst()
        }
        next?.give(())
    }

    // MARK: life

    /// Reads what OBS sends until the connection ends, or OBS has not answered for too long, and says how it ended. Cancelled, it closes
    /// the connection.
    func run() async -> OBSLinkFailure {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.expire() }
            await withTaskCancellationHandler {
                for await message in self.connection.messages { self.received(message) }
            } onCancel: {
                self.connection.close()
            }
            group.cancelAll()
        }
        self.connection.drop()
        return self.end(Self.failure(self.connection.ending))
    }

    /// The first reason counts.
    @discardableResult
    private func end(_ failure: OBSLinkFailure) -> OBSLinkFailure {
        let (failure, waiting) = self.state.withLockedValue { state -> (OBSLinkFailure, [Waiting]) in
            let failure = state.ending ?? failure
            state.ending = failure
            defer { state.waiting = [:] }
            return (failure, Array(state.waiting.values))
        }
        for waiting in waiting { waiting.answer.give(.failure(.notConnected)) }
        return failure
    }

    private func received(_ bytes: [UInt8]) {
        switch OBSMessage(bytes) {
        case .event(let event): self.heard(event)
        case .response(let id, let answer): self.answered(id, [answer])
        case .batchResponse(let id, let answers): self.answered(id, answers)
        case .hello, .identified, .other, nil: break
        }
    }

    private func answered(_ id: String, _ answers: [OBSAnswer]) {
        let waiting = self.state.withLockedValue { state -> Waiting? in
            state.askedSince = nil
            return state.waiting.removeValue(forKey: id)
        }
        waiting?.answer.give(.success(answers))
    }

    private func expire() async {
        // `try?`: cancelled, the link has ended.
        while (try? await Task.sleep(for: .milliseconds(250))) != nil {
            let now = ContinuousClock.now
            let late = self.state.withLockedValue { state -> [Waiting] in
                let ids = state.waiting.filter { $0.value.deadline <= now }.map(\.key)
                return ids.compactMap { state.waiting.removeValue(forKey: $0) }
            }
            for waiting in late { waiting.answer.give(.failure(.timedOut(request: waiting.request))) }
            // A frozen OBS keeps its connection open.
            if self.state.withLockedValue({ $0.askedSince.map { now - $0 > Self.silenceMax } ?? false }) {
                self.end(.silent)
                self.connection.drop()
            }
        }
    }
}
