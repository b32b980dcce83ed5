import Events
import Glibc
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Bus

/// A publisher and its log, on free ports.
private final class Station: Sendable {
    let endpoints = BusEndpoints(events: freeEndpoint(), commands: freeEndpoint())
    private let log = NIOLockedValueBox<[Event]>([])

    var head: Position { Position(epoch: 1, seq: UInt64(self.log.withLockedValue { $0.count })) }

    /// Logs that many events more.
    func commit(_ count: Int, data: [UInt8] = Array("{}".utf8)) -> [Event] {
        self.log.withLockedValue { log in
            let new = (0..<count).map { Event.test(UInt64(log.count + $0 + 1), data: data) }
            log += new
            return new
        }
    }

    func server() -> CommandServer {
        let server = CommandServer(endpoint: self.endpoints.commands, logger: quiet)
        server.answer(ReplayRequest.name, from: .all) { [self] bytes in
            let request = try JSON.decode(ReplayRequest.self, from: bytes)
            let log = self.log.withLockedValue { $0 }
            let events = log.dropFirst(Int(request.after ?? 0)).prefix(request.limit)
            return ReplayPage(epoch: 1, oldest: 1, head: UInt64(log.count), events: Array(events)).bytes
        }
        return server
    }

    func subscriber(queueMax: Int32 = 100_000, deliver: @escaping @Sendable ([Event]) -> Void) -> Subscriber {
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

@Suite struct SubscriberTests {
    private func seqs(_ collected: Collected<Event>) -> [UInt64] { collected.items.compactMap { $0.position?.seq } }

    @Test func `events arrive whole, in order, and say that their publisher is heard`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { collected.add($0) }
        let publisher = try Publisher(endpoint: station.endpoints.events)
        try await with(subscriber, station.server()) {
            #expect(!subscriber.state(of: .auth).isHeard)
            try await station.announce(publisher) { subscriber.state(of: .auth).position != nil }
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
        let subscriber = station.subscriber { collected.add($0) }
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
        let subscriber = station.subscriber { collected.add($0) }
        let publisher = try Publisher(endpoint: station.endpoints.events)
        try await with(subscriber, station.server()) {
            try await station.announce(publisher) { subscriber.state(of: .auth).position != nil }
            _ = station.commit(3)
            try await station.announce(publisher) { collected.items.count >= 3 }
            #expect(self.seqs(collected) == [1, 2, 3])
        }
    }

    @Test func `a restarted publisher is followed without loss`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { collected.add($0) }
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
        let subscriber = station.subscriber { collected.add($0) }
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
        let subscriber = station.subscriber(queueMax: 50) { events in
            collected.add(events)
            isPaused.withLockedValue { $0 = true }
            while !gate.withLockedValue({ $0 }) { usleep(1000) }
        }
        let publisher = try Publisher(endpoint: station.endpoints.events, queueMax: 50)
        try await with(subscriber, station.server()) {
            try await station.announce(publisher) { subscriber.state(of: .auth).position != nil }
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
            }, deliver: { collected.add($0) })
        let publisher = try Publisher(endpoint: station.endpoints.events)
        try await with(subscriber, station.server()) {
            try await station.announce(publisher) { subscriber.state(of: .auth).position != nil }
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

    @Test func `messages that are not ours are ignored`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { collected.add($0) }
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
        let subscriber = Subscriber(publishers: [.auth: endpoints], logger: quiet) { _ in }
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
