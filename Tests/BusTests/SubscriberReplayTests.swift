import Events
import Logging
import NIOConcurrencyHelpers
import TestSupport
import Testing

@testable import Bus

/// First contact with a publisher's log, and what a subscriber does while it does not answer.
@Suite struct SubscriberReplayTests {
    /// Events in the order of their delivery, and whether they were repaired.
    private struct Delivery: Equatable {
        let seq: UInt64?
        let isRepaired: Bool
    }

    @Test func `the first contact needs nothing to be heard`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let subscriber = station.subscriber { events, _ in collected.add(events) }
        _ = station.commit(10)
        try await with(subscriber, station.server()) {
            try await eventually { collected.items.count == 10 }
            try await eventually { subscriber.state(of: .auth).isFollowed }
            #expect(subscriber.state(of: .auth).position == station.head)
        }
    }

    @Test func `what comes from a log is delivered in batches of its own, in order with the rest`() async throws {
        let station = Station()
        let collected = Collected<Delivery>()
        let subscriber = station.subscriber { events, isRepaired in
            collected.add(events.map { Delivery(seq: $0.position?.seq, isRepaired: isRepaired) })
        }
        let publisher = try Publisher(endpoint: station.endpoints.events)
        _ = station.commit(600)
        try await with(subscriber, station.server()) {
            try await station.announce(publisher) { collected.items.count == 600 && subscriber.isListening }
            await publisher.publish(station.commit(3))
            try await eventually { collected.items.count == 603 }
            // Two never arrive; the third tells of them, and comes from the log with them or by itself.
            await publisher.publish(Array(station.commit(3).suffix(1)))
            try await eventually { collected.items.count == 606 }
            await publisher.publish(station.commit(1))
            try await eventually { collected.items.count == 607 }
        }
        let items = collected.items
        #expect(items.map(\.seq) == (1...607).map { UInt64($0) })
        let repaired = items.filter(\.isRepaired).compactMap(\.seq).filter { $0 != 606 }
        #expect(repaired == Array(1...600) + [604, 605])
    }

    @Test func `a log that refuses is asked more and more rarely, and an outage is logged once`() async throws {
        let station = Station()
        let collected = Collected<Event>()
        let warnings = Collected<Logger.Message>()
        let asked = Collected<ContinuousClock.Instant>()
        let refuses = NIOLockedValueBox(true)
        let subscriber = Subscriber(
            publishers: [.auth: station.endpoints], logger: Logger(label: "test") { _ in Recorder(warnings: warnings) }
        ) { events, _ in collected.add(events) }
        let server = CommandServer(endpoint: station.endpoints.commands, logger: quiet)
        server.answer(ReplayRequest.name, from: .all) { bytes in
            asked.add(.now)
            if refuses.withLockedValue({ $0 }) { throw CommandFailure(.unavailable, "no database") }
            return station.page(for: try JSON.decode(ReplayRequest.self, from: bytes)).bytes
        }
        let publisher = try Publisher(endpoint: station.endpoints.events)
        try await with(subscriber, server) {
            try await station.announce(publisher) { asked.items.count >= 4 }
            #expect(!subscriber.state(of: .auth).isFollowed)
            // Heard and not followed: nothing is delivered that would have a gap before it.
            await publisher.publish(station.commit(20))
            refuses.withLockedValue { $0 = false }
            try await station.announce(publisher) { collected.items.count == 20 }
            #expect(collected.items.compactMap { $0.position?.seq } == Array(1...20))
        }
        let times = asked.items
        let pauses = zip(times, times.dropFirst()).map { $1 - $0 }
        // 200 ms, 400 ms, 800 ms, each up to a fifth shorter.
        #expect(pauses[0] >= .milliseconds(150) && pauses[1] >= .milliseconds(300) && pauses[2] >= .milliseconds(600))
        #expect(warnings.items.count == 1, "\(warnings.items)")
    }

    /// Keeps the warnings.
    private struct Recorder: LogHandler {
        let warnings: Collected<Logger.Message>
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.warning

        init(warnings: Collected<Logger.Message>) { self.warnings = warnings }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) { self.warnings.add(event.message) }
    }
}
