import Bus
import Events
import TestSupport

/// A publisher in obs-bridge's place with large events, as many as a test wants.
actor Flood {
    private let publisher: Publisher
    private var events: [Event] = []

    private static let epoch = UInt64(7)
    private static let text = String(repeating: "x", count: 8000)

    private init(endpoint: String, keys: BusKeys) throws {
        self.publisher = try Publisher(endpoint: endpoint, keys: keys)
    }

    /// Runs the body with one that the suite's gateways hear.
    static func with(_ suite: Suite, _ body: @Sendable (Flood) async throws -> Void) async throws {
        let port = suite.port(.obsBridge) + 1
        let keys = try suite.bus.keys(.suite)
        let flood = try Flood(endpoint: "tcp://127.0.0.1:\(port)", keys: keys)
        let commands = CommandServer(endpoint: "tcp://127.0.0.1:\(port + 1)", keys: keys, logger: quiet)
        commands.answer(ReplayRequest.name, from: .all) { bytes in
            await flood.page(try JSON.decode(ReplayRequest.self, from: bytes)).bytes
        }
        try await TestSupport.with(commands) {
            let announcing = Task {
                while !Task.isCancelled {
                    await flood.announce()
                    try await Task.sleep(for: .milliseconds(500))
                }
            }
            defer { announcing.cancel() }
            try await suite.waitUntilGatewayHears([.obsBridge])
            try await body(flood)
        }
    }

    /// Publishes so many events of 8 KB, which are numbered from 1.
    func publish(_ count: Int) async {
        for _ in 0..<count {
            let number = UInt64(self.events.count) + 1
            let data: JSON = ["number": .integer(Int64(number)), "text": .string(Self.text)]
            var event = Event(
                id: ULID(), type: "sources.update", tenant: Principal.defaultTenant, room: "", publisher: .obsBridge,
                time: .now, data: data.bytes)
            event.position = Position(epoch: Self.epoch, term: 1, seq: number)
            self.events.append(event)
            await self.publisher.publish([event])
        }
    }

    private var head: Position { Position(epoch: Self.epoch, term: 1, seq: UInt64(self.events.count)) }

    private func announce() async {
        await self.publisher.announce(Announcement(publisher: .obsBridge, position: self.head))
    }

    private func page(_ request: ReplayRequest) -> ReplayPage {
        let asked = request.after.flatMap { $0.epoch == Self.epoch ? Int(clamping: $0.seq) : nil }
        let begin = Timestamp.now - .milliseconds(request.ago)
        let after = asked ?? self.events.firstIndex { $0.time >= begin } ?? self.events.count
        return ReplayPage(
            head: self.head, after: UInt64(after), isContinuation: asked != nil,
            events: Array(self.events.dropFirst(after).prefix(request.limit)))
    }
}
