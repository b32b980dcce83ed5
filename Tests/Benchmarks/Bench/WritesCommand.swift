import ArgumentParser
import Bus
import Database
import Events
import TestSupport

/// Durable events a second that one service commits and publishes: one after the other, and in the writer's batches.
struct WritesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "writes", abstract: "Durable events a second that one writer commits and publishes.")

    @Option(help: "The database, as libpq takes it; a schema of its own is made there.")
    var database: String

    @Option(help: "The port of the event socket.")
    var port: Int

    @Option(help: "Mutations under way at once.")
    var concurrency = 1000

    @Option(help: "Seconds of each measurement.")
    var seconds = 3.0

    @Option(help: "Rounds, of which the median counts.")
    var rounds = 3

    func run() async throws {
        let configuration = DatabaseConfiguration(url: self.database, schema: "bench")
        let database = Database(configuration, migrations: EventLog.migrations, logger: quiet)
        let publisher = try Publisher(endpoint: "tcp://127.0.0.1:\(self.port)")
        let writer = EventWriter(database: database, publisher: .radioPlayout, logger: quiet) { events in
            await publisher.publish(events)
        }
        try await TestSupport.with(database, writer) {
            while !writer.isActive { try await Task.sleep(for: .milliseconds(20)) }
            for round in 0..<self.rounds {
                let alone = try await self.rate(of: writer, concurrency: 1)
                let together = try await self.rate(of: writer, concurrency: self.concurrency)
                say("{\"kind\":\"writes\",\"round\":\(round),\"alone\":\(alone),\"together\":\(together)}")
            }
        }
    }

    /// Events a second, so many callers each waiting for its own to be published before it writes the next.
    private func rate(of writer: EventWriter, concurrency: Int) async throws -> Double {
        let start = ContinuousClock.now
        let end = start + .seconds(self.seconds)
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<concurrency {
                group.addTask {
                    var count = 0
                    while ContinuousClock.now < end {
                        try await writer.write { [count] mutation in mutation.emit(Self.event(number, count)) }
                        count += 1
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
        return Double(count) / ((ContinuousClock.now - start) / .seconds(1))
    }

    private static func event(_ writer: Int, _ number: Int) -> Event {
        Event(
            id: ULID(), type: "radio.now_playing", tenant: Principal.defaultTenant, room: "room-\(writer)",
            publisher: .radioPlayout, time: .now,
            data: Array("{\"number\":\(number),\"pad\":\"\(String(repeating: "x", count: 400))\"}".utf8))
    }
}
