import Events
import Glibc
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Bus

/// A publisher and its log, on free ports.
final class Station: Sendable {
    let endpoints = BusEndpoints(events: freeEndpoint(), commands: freeEndpoint())
    private let log = NIOLockedValueBox<[Event]>([])

    var head: Position { Position(epoch: 1, term: 1, seq: UInt64(self.log.withLockedValue { $0.count })) }

    /// Logs that many events more.
    func commit(_ count: Int, data: [UInt8] = Array("{}".utf8)) -> [Event] {
        self.log.withLockedValue { log in
            let new = (0..<count).map { Event.test(UInt64(log.count + $0 + 1), data: data) }
            log += new
            return new
        }
    }

    func page(for request: ReplayRequest) -> ReplayPage {
        let log = self.log.withLockedValue { $0 }
        // Every event is of interest to a first contact.
        let after = request.after?.seq ?? 0
        return ReplayPage(
            head: Position(epoch: 1, term: 1, seq: UInt64(log.count)), after: after,
            isContinuation: request.after != nil, events: Array(log.dropFirst(Int(after)).prefix(request.limit)))
    }

    func server() -> CommandServer {
        let server = CommandServer(endpoint: self.endpoints.commands, logger: quiet)
        server.answer(ReplayRequest.name, from: .all) { [self] bytes in
            self.page(for: try JSON.decode(ReplayRequest.self, from: bytes)).bytes
        }
        return server
    }

    func subscriber(queueMax: Int32 = 100_000, deliver: @escaping Subscriber.Deliver) -> Subscriber {
        Subscriber(publishers: [.auth: self.endpoints], logger: quiet, queueMax: queueMax, deliver: deliver)
    }

    /// Announces until something is true, as a publisher does every second.
    func announce(_ publisher: Publisher, until condition: () -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(15)
        while !condition(), ContinuousClock.now < deadline {
            await publisher.announce(Announcement(publisher: .auth, position: self.head))
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(condition())
    }
}

extension Subscriber {
    /// The station's log was reached, and its announcements are heard.
    var isListening: Bool {
        let state = self.state(of: .auth)
        return state.isFollowed && state.skew != nil
    }
}

@Suite struct SubscriberTests {
    private func seqs(_ collected: Collected<Event>) -> [UInt64] { collected.items.compactMap { $0.position?.seq } }

    @Test func `events arrive whole, in order, and say that their publisher is heard`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { events, _ in collected.add(events) }
        let publisher = try Publisher(endpoint: station.endpoints.events)
        try await with(subscriber, station.server()) {
            #expect(!subscriber.state(of: .auth).isHeard)
            try await station.announce(publisher) { subscriber.isListening }
            for _ in 0..<50 { await publisher.publish(station.commit(10, data: Array(#"{"a":"ü"}"#.utf8))) }
            try await eventually { collected.items.count >= 500 }
            #expect(self.seqs(collected) == Array(1...500))
            #expect(collected.items[0] == Event.test(1, data: Array(#"{"a":"ü"}"#.utf8)))
            #expect(subscriber.state(of: .auth).isHeard)
            #expect(subscriber.state(of: .auth).position == station.head)
            #expect(!subscriber.state(of: .radioPlayout).isHeard)
        }
    }

    @Test func `what was committed before the first contact is replayed`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { events, _ in collected.add(events) }
        _ = station.commit(1234)
        let publisher = try Publisher(endpoint: station.endpoints.events)
        try await with(subscriber, station.server()) {
            try await station.announce(publisher) { collected.items.count >= 1234 }
            #expect(self.seqs(collected) == Array(1...1234))
        }
    }

    @Test func `a tail that never came is repaired when it is announced`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { events, _ in collected.add(events) }
        let publisher = try Publisher(endpoint: station.endpoints.events)
        try await with(subscriber, station.server()) {
            try await station.announce(publisher) { subscriber.isListening }
            _ = station.commit(3)
            try await station.announce(publisher) { collected.items.count >= 3 }
            #expect(self.seqs(collected) == [1, 2, 3])
        }
    }

    @Test func `a restarted publisher is followed without loss`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { events, _ in collected.add(events) }
        try await with(subscriber, station.server()) {
            for _ in 0..<3 {
                let before = collected.items.count
                let publisher = try await Self.bound(station.endpoints.events)
                // Committed while nobody listened, or before the subscriber was connected again.
                await publisher.publish(station.commit(100))
                try await station.announce(publisher) { collected.items.count == before + 100 }
                await publisher.publish(station.commit(100))
                try await station.announce(publisher) { collected.items.count == before + 200 }
            }
            #expect(self.seqs(collected) == Array(1...600))
        }
    }

    @Test func `a log that cannot be reached at first is asked again`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { events, _ in collected.add(events) }
        let publisher = try Publisher(endpoint: station.endpoints.events)
        _ = station.commit(10)
        try await with(subscriber) {
            try await station.announce(publisher) { subscriber.state(of: .auth).isHeard }
            try await with(station.server()) {
                try await station.announce(publisher) { collected.items.count >= 10 }
            }
        }
        #expect(self.seqs(collected) == Array(1...10))
    }

    @Test func `a subscriber that was too slow for its queue repairs what it missed`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let gate = NIOLockedValueBox(false)
        let isPaused = NIOLockedValueBox(false)
        let subscriber = station.subscriber(queueMax: 50) { events, _ in
            collected.add(events)
            isPaused.withLockedValue { $0 = true }
            while !gate.withLockedValue({ $0 }) { usleep(1000) }
        }
        let publisher = try Publisher(endpoint: station.endpoints.events, queueMax: 50)
        try await with(subscriber, station.server()) {
            try await station.announce(publisher) { subscriber.isListening }
            await publisher.publish(station.commit(1))
            try await station.announce(publisher) { isPaused.withLockedValue { $0 } }
            // More than both queues and the kernel's buffers take.
            let data = [UInt8](repeating: UInt8(ascii: " "), count: 20_000)
            for _ in 0..<30 { await publisher.publish(station.commit(100, data: data)) }
            gate.withLockedValue { $0 = true }
            try await station.announce(publisher) { collected.items.count >= 3001 }
            #expect(self.seqs(collected) == Array(1...3001))
        }
    }

    @Test func `while it is congested events wait, and none is lost`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let isCongested = NIOLockedValueBox(false)
        let asked = NIOLockedValueBox(0)
        let subscriber = Subscriber(
            publishers: [.auth: station.endpoints], logger: quiet, queueMax: 50,
            isCongested: {
                asked.withLockedValue { $0 += 1 }
                return isCongested.withLockedValue { $0 }
            }, deliver: { events, _ in collected.add(events) })
        let publisher = try Publisher(endpoint: station.endpoints.events)
        try await with(subscriber, station.server()) {
            try await station.announce(publisher) { subscriber.isListening }
            isCongested.withLockedValue { $0 = true }
            await publisher.publish(station.commit(100))
            // The turn that was under way may still take some.
            let turn = asked.withLockedValue { $0 }
            try await eventually { asked.withLockedValue { $0 } > turn + 2 }
            let count = collected.items.count
            for _ in 0..<20 { await publisher.publish(station.commit(100)) }
            try await eventually { asked.withLockedValue { $0 } > turn + 10 }
            #expect(collected.items.count == count)
            isCongested.withLockedValue { $0 = false }
            try await station.announce(publisher) { collected.items.count >= 2100 }
            #expect(self.seqs(collected) == Array(1...2100))
        }
    }

    @Test func `while it is congested transient events wait, too, by the bytes that they hold`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let (isCongested, asked) = (NIOLockedValueBox(false), NIOLockedValueBox(0))
        let subscriber = Subscriber(
            publishers: [.auth: station.endpoints], logger: quiet, queueMax: 50, backlogBytesMax: 16 << 20,
            isCongested: {
                asked.withLockedValue { $0 += 1 }
                return isCongested.withLockedValue { $0 }
            }, deliver: { events, _ in collected.add(events) })
        let publisher = try Publisher(endpoint: station.endpoints.events, queueMax: 200)
        try await with(subscriber, station.server()) {
            try await station.announce(publisher) { subscriber.isListening }
            isCongested.withLockedValue { $0 = true }
            /// Fewer than the publisher's queue takes; then the subscriber's thread has its turns.
            func publish(_ bytes: Int) async throws {
                let data = [UInt8](repeating: UInt8(ascii: " "), count: bytes)
                await publisher.publish((0..<40).map { _ in .test(nil, data: data) })
                let turn = asked.withLockedValue { $0 }
                try await eventually { asked.withLockedValue { $0 } > turn + 1 }
            }
            // More than both sockets and the kernel's buffers take.
            for _ in 0..<50 { try await publish(5000) }
            isCongested.withLockedValue { $0 = false }
            try await eventually { collected.items.count >= 2000 }
            #expect(collected.items.count == 2000)
            // More than the backlog takes, too.
            isCongested.withLockedValue { $0 = true }
            for _ in 0..<20 { try await publish(100_000) }
            isCongested.withLockedValue { $0 = false }
            let deadline = ContinuousClock.now + .seconds(20)
            while collected.items.last?.data != [7], ContinuousClock.now < deadline {
                await publisher.publish([.test(nil, data: [7])])
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect((2000..<2800).contains(collected.items.count { $0.data != [7] }))
        }
    }

    @Test func `messages that are not ours are ignored`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { events, _ in collected.add(events) }
        try await with(subscriber, station.server()) {
            let socket = try Socket(.pub, in: Context())
            try socket.bind(station.endpoints.events)
            let announcement = Announcement(publisher: .auth, position: station.head)
            let deadline = ContinuousClock.now + .seconds(10)
            while subscriber.state(of: .auth).position == nil, ContinuousClock.now < deadline {
                _ = try socket.send(announcement.frames)
                try await Task.sleep(for: .milliseconds(20))
            }
            for frames in [
                [Array("d/".utf8)], [Array("d/a/b/c".utf8), [1, 2], []], [Array("a/".utf8), []],
                [Array("t/x".utf8), [], [], []],
            ] {
                _ = try socket.send(frames)
            }
            _ = try socket.send(EventCodec.frames(of: .test(nil, publisher: .radioPlayout)))
            _ = try socket.send(EventCodec.frames(of: .test(1)))
            try await eventually { !collected.items.isEmpty }
            #expect(collected.items == [.test(1)])
        }
    }

    @Test func `an address that is none ends the subscriber with an error`() async throws {
        let endpoints = BusEndpoints(events: "tcp://nonsense", commands: freeEndpoint())
        let subscriber = Subscriber(publishers: [.auth: endpoints], logger: quiet) { _, _ in }
        await #expect(throws: BusError.self) { try await subscriber.run() }
    }

    /// The port of a publisher that has just gone may be taken for a moment longer.
    private static func bound(_ endpoint: String) async throws -> Publisher {
        let deadline = ContinuousClock.now + .seconds(5)
        while true {
            do {
                return try Publisher(endpoint: endpoint)
            } catch  where ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(20))
            }
        }
    }
}
