import ArgumentParser
import Bus
import Events
import Foundation
import Logging
import NIOConcurrencyHelpers
import TestSupport

/// A publisher whose events come from standard input: what the conformance suite uses for events that no service makes yet.
///
/// It stands in obs-bridge's place on the bus, with a log in memory from which it answers replays. Each line of input is
/// `{"type","tenant","room","durable","time","data"}`; each is answered by a line with its `id` and `seq` (0: transient) when it is on its way.
struct PublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Publishes the events that standard input names, as obs-bridge.")

    @Option(help: "The port of its event socket; that of its commands is one higher.")
    var port: Int

    /// The log of this process's life.
    private struct Log {
        let epoch = UInt64.random(in: 1...UInt64.max)
        var events: [Event] = []

        var head: Position { Position(epoch: self.epoch, seq: UInt64(self.events.count)) }

        mutating func append(_ event: Event) -> Event {
            var event = event
            event.position = Position(epoch: self.epoch, seq: UInt64(self.events.count) + 1)
            self.events.append(event)
            return event
        }

        func page(_ request: ReplayRequest) -> ReplayPage {
            let after = request.epoch == self.epoch ? Int(clamping: request.after ?? 0) : 0
            let found = self.events.dropFirst(after).filter { event in request.since.map { event.time >= $0 } ?? true }
            return ReplayPage(
                epoch: self.epoch, oldest: 1, head: self.head.seq, events: Array(found.prefix(request.limit)))
        }
    }

    func run() async throws {
        let endpoints = BusEndpoints(
            events: "tcp://127.0.0.1:\(self.port)", commands: "tcp://127.0.0.1:\(self.port + 1)")
        let log = NIOLockedValueBox(Log())
        let publisher = try Publisher(endpoint: endpoints.events)
        let commands = CommandServer(endpoint: endpoints.commands, logger: quiet)
        commands.answer(ReplayRequest.name) { bytes in
            let request = try JSON.decode(ReplayRequest.self, from: bytes)
            return log.withLockedValue { $0.page(request) }.bytes
        }
        try await TestSupport.with(commands) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while !Task.isCancelled {
                        let head = log.withLockedValue { $0.head }
                        await publisher.announce(Announcement(publisher: .obsBridge, position: head))
                        try await Task.sleep(for: .seconds(1))
                    }
                }
                self.say(["ready": true])
                for await line in Self.input {
                    self.say(try await self.publish(line, through: publisher, log))
                }
                group.cancelAll()
            }
        }
    }

    /// The lines of standard input, read on a thread of their own.
    private static var input: AsyncStream<String> {
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        Thread.detachNewThread {
            while let line = readLine() { continuation.yield(line) }
            continuation.finish()
        }
        return lines
    }

    private func publish(
        _ line: String, through publisher: Publisher, _ log: NIOLockedValueBox<Log>
    ) async throws -> JSON {
        guard let message = JSON(parsing: Array(line.utf8)), let type = message["type"]?.string,
            let data = message["data"], data.object != nil
        else { return ["error": "not an event"] }
        var event = Event(
            id: ULID(), type: EventType(type), tenant: message["tenant"]?.string ?? Principal.defaultTenant,
            room: message["room"]?.string ?? "", publisher: .obsBridge,
            time: message["time"]?.string.flatMap(Timestamp.init(iso8601:)) ?? .now, data: data.bytes)
        if message["durable"]?.bool ?? true { event = log.withLockedValue { [event] in $0.append(event) } }
        await publisher.publish([event])
        return ["id": .string(event.id.text), "seq": .integer(Int64(event.position?.seq ?? 0))]
    }

    private func say(_ message: JSON) {
        FileHandle.standardOutput.write(Data(message.bytes + [10]))
    }
}
