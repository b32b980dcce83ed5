import ArgumentParser
import Bus
import Events
import Foundation
import NIOConcurrencyHelpers
import TestSupport

/// What an event costs on the bus alone: one process publishes at a steady rate, another one subscribes. Each says on its last line
/// how much processor time it took, in microseconds an event.
struct BusCommand: AsyncParsableCommand {
    enum Side: String, ExpressibleByArgument, CaseIterable { case publish, subscribe }

    static let configuration = CommandConfiguration(
        commandName: "bus", abstract: "Publishes events, or subscribes to them, and says what that cost.")

    @Argument(help: "publish or subscribe.")
    var side: Side

    @Option(help: "The port of the event socket; that of commands is one higher.")
    var port: Int

    @Option(help: "How many events there are.")
    var count = 10_000

    @Option(help: "Events a second.")
    var rate = 4_000

    @Option(help: "Bytes of an event's data.")
    var bytes = 512

    private static let batches = 100
    /// Until what was sent has left libzmq's threads, and for a subscriber that lacks events.
    private static let (farewell, patience) = (Duration.milliseconds(300), Duration.seconds(20))

    func run() async throws {
        switch self.side {
        case .publish: try await self.publish()
        case .subscribe: try await self.subscribe()
        }
    }

    private func publish() async throws {
        let standIn = try StandIn(for: .radioPlayout, port: self.port)
        let data = Array("{\"pad\":\"\(String(repeating: "x", count: max(0, self.bytes - 10)))\"}".utf8)
        try await standIn.run {
            await standIn.awaitListener(atMost: Self.patience)
            let (before, start) = (Self.processorTime, ContinuousClock.now)
            let batch = max(1, self.rate / Self.batches)
            for first in stride(from: 0, to: self.count, by: batch) {
                let events = (first..<min(first + batch, self.count)).map { _ in
                    Event(
                        id: ULID(), type: "radio.now_playing", tenant: Principal.defaultTenant, room: "room-0",
                        publisher: standIn.service, time: .now, data: data)
                }
                await standIn.publish(events, isDurable: false)
                try await Task.sleep(until: start + .seconds(Double(first + batch) / Double(self.rate)))
            }
            try await Task.sleep(for: Self.farewell)
            self.report(Self.processorTime - before, events: self.count)
        }
    }

    private func subscribe() async throws {
        let heard = NIOLockedValueBox<(count: Int, before: Double)>((0, 0))
        let endpoints = BusEndpoints(
            events: "tcp://127.0.0.1:\(self.port)", commands: "tcp://127.0.0.1:\(self.port + 1)",
            keys: try .ofEnvironment())
        let subscriber = Subscriber(publishers: [.radioPlayout: endpoints], logger: quiet) { events, _ in
            heard.withLockedValue { heard in
                if heard.count == 0 { heard.before = Self.processorTime }
                heard.count += events.count
            }
        }
        try await TestSupport.with(subscriber) {
            try await eventually(within: Self.patience * 2) { heard.withLockedValue { $0.count } >= self.count }
            let (count, before) = heard.withLockedValue { $0 }
            self.report(Self.processorTime - before, events: count)
        }
    }

    private func report(_ time: Double, events: Int) {
        say(["events": .integer(Int64(events)), "cpu_us": .number(time / Double(events))])
    }

    /// What this process has taken so far, in microseconds.
    private static var processorTime: Double {
        var usage = rusage()
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) * 1e6 + Double($1.tv_usec) }
    }
}
