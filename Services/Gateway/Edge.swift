import Bus
import Dialects
import Events
import Glibc
import Logging
import Metrics
import NIOConcurrencyHelpers
import ServiceLifecycle
import WebSockets

/// The loops together: spreads connections over them, hands each the events, and drains them at the end.
final class Edge: Sendable {
    private let loops: [Loop<EdgeHandler>]
    private let census: Census
    private let publishers: HeardPublishers
    private let drainMax: Duration
    private let arrivals = NIOLockedValueBox<[Arrival]>([])
    private let arrived: AsyncStream<Void>
    private let arriving: AsyncStream<Void>.Continuation
    private let backpressure = Counter(label: "gateway_loop_backpressure_total")

    /// Beyond this many events, or bytes of them, the subscriber keeps them in its own queue, which is bounded.
    private static let congestedMax = 2_000
    private static let congestedBytesMax = 8 << 20
    /// Events and other messages, and the bytes of events.
    private static let mailboxMax = 20_000
    private static let mailboxBytesMax = 64 << 20
    /// Connections that a loop describes in one turn.
    private static let describedMax = 64
    /// Events in one message: a loop ends its turn between two messages.
    private static let batchMax = 256
    private static let backpressurePause: UInt32 = 1000
    /// How long the last clients have to answer their CLOSE frames when the gateway ends.
    private static let farewellMax = Duration.seconds(3)

    /// - Parameter isRevoked: whether a credential that was verified is good no longer.
    init(
        config: GatewayConfig, census: Census, publishers: HeardPublishers, enquiries: Enquiries, seats: SeatLeases,
        isRevoked: @escaping @Sendable (Principal) -> Bool, logger: Logger
    ) throws {
        self.census = census
        self.publishers = publishers
        self.drainMax = config.drain
        (self.arrived, self.arriving) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        self.loops = try (1...config.loops).map { number in
            // A loop's handler posts into the loop that holds it, which exists once this returns.
            let own = NIOLockedValueBox<Loop<EdgeHandler>?>(nil)
            let loop = try Loop<EdgeHandler>(
                name: "loop-\(number)", mailboxCapacity: Self.mailboxMax, mailboxBytesMax: Self.mailboxBytesMax,
                logger: logger
            ) {
                EdgeHandler(
                    census: census, publishers: publishers, enquiries: enquiries, seats: seats, isRevoked: isRevoked,
                    logger: logger
                ) { message in own.withLockedValue { $0 }?.postAnswer(message) }
            }
            own.withLockedValue { $0 = loop }
            return loop
        }
    }

    /// Hands an accepted connection to a loop, soon, with others that are accepted now: each wake costs a loop as much as a connection.
    func adopt(_ arrival: Arrival) {
        let isFirst = self.arrivals.withLockedValue { arrivals in
            arrivals.append(arrival)
            return arrivals.count == 1
        }
        if isFirst { self.arriving.yield() }
    }

    /// Hands accepted connections to the loops until it is cancelled.
    func distribute() async {
        var next = 0
        for await _ in self.arrived {
            let arrivals = self.arrivals.withLockedValue { arrivals in
                defer { arrivals = [] }
                return arrivals
            }
            var shares: [[Arrival]] = Array(repeating: [], count: self.loops.count)
            for arrival in arrivals {
                shares[next].append(arrival)
                next = (next + 1) % shares.count
            }
            for (loop, share) in zip(self.loops, shares) where !loop.postAnswers(share.map(EdgeMessage.adopt)) {
                // The gateway ends, and so does the connection.
                for arrival in share {
                    TCPSocket(descriptor: arrival.upgrade.descriptor).close()
                    self.census.leave(DialectRegistry.all[arrival.dialect].profile.name)
                }
            }
        }
    }

    /// Whether a loop is so far behind that it should get no more events for now: what the subscriber's socket drops meanwhile
    /// is repaired from the log.
    var isCongested: Bool {
        let isCongested = self.loops.contains {
            $0.mailboxWeight > Self.congestedMax || $0.mailboxBytes > Self.congestedBytesMax
        }
        if isCongested { self.backpressure.increment() }
        return isCongested
    }

    /// Called on the subscriber's thread with events in order. Waits for a mailbox that is full all the same: a batch that was
    /// dropped here would be gone.
    /// - Parameter isRepaired: they come from their publisher's log, since they were missed when they happened.
    func deliver(_ events: [Event], isRepaired: Bool) {
        for start in stride(from: 0, to: events.count, by: Self.batchMax) {
            let batch = Array(events[start..<min(start + Self.batchMax, events.count)])
            for loop in self.loops {
                while !loop.post(.events(batch, isRepaired: isRepaired)), !loop.isStopping {
                    self.backpressure.increment()
                    usleep(Self.backpressurePause)
                }
            }
        }
    }

    /// Called on any thread, and never refused: whose credential is revoked must go.
    func revoke(_ revoked: [CredentialRevoked]) {
        for loop in self.loops { loop.postAnswer(.revoked(revoked)) }
    }

    /// Returns a page of who is connected, and who was lately; `nil` if a loop has too much to do to answer.
    func describe(_ question: ConnectionsQuestion) async -> EdgeDescription? {
        var listed: [(id: ConnectionID, loop: Int)] = []
        for (place, loop) in self.loops.enumerated() {
            guard let ids = await Self.ask(loop, { .list(question, $0) }) else { return nil }
            listed += ids.map { ($0, place) }
        }
        listed.sort { $0.id.raw < $1.id.raw }
        var page = EdgeDescription()
        let shown = listed.prefix(question.limit)
        if listed.count > question.limit { page.next = shown.last?.id }
        var described: [String: ClientDescription] = [:]
        for (place, loop) in self.loops.enumerated() {
            let ids = shown.filter { $0.loop == place }.map(\.id)
            // In small parts, each in a turn of its own: the loop's clients do not wait for all of it.
            for start in stride(from: 0, to: ids.count, by: Self.describedMax) {
                let part = Array(ids[start..<min(start + Self.describedMax, ids.count)])
                guard let descriptions = await Self.ask(loop, { .describe(part, tenant: question.tenant, $0) }) else {
                    return nil
                }
                for description in descriptions { described[description.id] = description }
            }
            guard question.after == nil else { continue }
            guard let closed = await Self.ask(loop, { .describeClosed(question, $0) }) else { return nil }
            page.closed += closed
        }
        page.connections = shown.compactMap { described[$0.id.description] }
        return page
    }

    /// Returns a loop's answer; `nil` if it does not take the question.
    private static func ask<Answer: Sendable>(
        _ loop: Loop<EdgeHandler>, _ message: (@escaping @Sendable (Answer) -> Void) -> EdgeMessage
    ) async -> Answer? {
        await withCheckedContinuation { continuation in
            if !loop.post(message({ continuation.resume(returning: $0) })) { continuation.resume(returning: nil) }
        }
    }

    /// What became of an event on a connection; `nil`: the connection or the event is not known here, or no longer.
    func explain(connection: String, event: ULID) async -> Explanation? {
        for loop in self.loops {
            let explanation = await Self.ask(loop) { .explain(connection: connection, event: event, $0) }
            if let explanation = explanation ?? nil { return explanation }
        }
        return nil
    }

    /// Says goodbye to every client as its contract asks, and ends the loops when all have gone or the time is over.
    func drain() async {
        let heard = self.publishers.positions
        for loop in self.loops { loop.postAnswer(.drain(heard: heard)) }
        await self.waitUntilEmpty(within: self.drainMax)
        for loop in self.loops { loop.postAnswer(.endDrain) }
        await self.waitUntilEmpty(within: Self.farewellMax)
        for loop in self.loops { await loop.stop() }
    }

    private func waitUntilEmpty(within time: Duration) async {
        let deadline = ContinuousClock.now + time
        while self.census.total > 0, ContinuousClock.now < deadline {
            // `try?`: a cancelled sleep means that there is no more time.
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
    }
}

/// Accepts connections until shutdown, then drains: new upgrades are refused as each contract says while the old ones go.
struct EdgeService: Service {
    let edge: Edge
    let acceptor: Acceptor

    func run() async throws {
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.acceptor.run() }
            group.addTask { await self.edge.distribute() }
            // `try?`: it throws when it is cancelled, and then there is nothing left to wait for.
            try? await gracefulShutdown()
            self.acceptor.beginDraining()
            await self.edge.drain()
            group.cancelAll()
            // `try?`: whatever the acceptor ended with, the process ends.
            while (try? await group.next()) != nil {}
        }
    }
}
