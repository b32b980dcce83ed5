import Bus
import Events
import Foundation
import NIOConcurrencyHelpers
import TestSupport

/// Stands in a service's place on the bus, with a log in memory from which it answers replays.
struct StandIn: Sendable {
    /// The log of this process's life.
    private struct Log {
        let epoch = UInt64.random(in: 1...UInt64.max)
        var events: [Event] = []

        var head: Position { Position(epoch: self.epoch, term: 1, seq: UInt64(self.events.count)) }

        mutating func append(_ event: Event) -> Event {
            var event = event
            event.position = Position(epoch: self.epoch, term: 1, seq: UInt64(self.events.count) + 1)
            self.events.append(event)
            return event
        }

        func page(_ request: ReplayRequest) -> ReplayPage {
            let asked = request.after.flatMap { $0.epoch == self.epoch ? Int(clamping: $0.seq) : nil }
            let begin = Timestamp.now - .milliseconds(request.ago)
            let after = asked ?? self.events.firstIndex { $0.time >= begin } ?? self.events.count
            return ReplayPage(
                head: self.head, after: UInt64(after), isContinuation: asked != nil,
                events: Array(self.events.dropFirst(after).prefix(request.limit)))
        }
    }

    let service: ServiceName
    private let log = NIOLockedValueBox(Log())
    private let publisher: Publisher
    private let commands: CommandServer
    private let asked: AsyncStream<Void>

    /// - Parameter port: of its event socket; that of its commands is one higher.
    init(for service: ServiceName, port: Int) throws {
        self.service = service
        let keys = try BusKeys.ofEnvironment()
        self.publisher = try Publisher(endpoint: "tcp://127.0.0.1:\(port)", keys: keys)
        self.commands = CommandServer(endpoint: "tcp://127.0.0.1:\(port + 1)", keys: keys, logger: quiet)
        let (asked, asking) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.asked = asked
        self.commands.answer(ReplayRequest.name, from: .all) { [log] bytes in
            let request = try JSON.decode(ReplayRequest.self, from: bytes)
            // The first question comes from whoever begins to listen, and may not hear anything yet.
            if request.after != nil { asking.yield() }
            return log.withLockedValue { $0.page(request) }.bytes
        }
    }

    /// Answers, and announces itself every second, until the body is done.
    func run(_ body: @Sendable () async throws -> Void) async throws {
        try await TestSupport.with(self.commands) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    while !Task.isCancelled {
                        let head = self.log.withLockedValue { $0.head }
                        await self.publisher.announce(Announcement(publisher: self.service, position: head))
                        try await Task.sleep(for: .seconds(1))
                    }
                }
                try await body()
                group.cancelAll()
            }
        }
    }

    /// Waits until somebody hears it, or so long. Whoever hears that the log goes on further than what came asks for the rest, so it
    /// announces one event that there is not.
    func awaitListener(atMost time: Duration) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                var asked = self.asked.makeAsyncIterator()
                await asked.next()
            }
            group.addTask {
                while !Task.isCancelled {
                    var head = self.log.withLockedValue { $0.head }
                    head.seq += 1
                    await self.publisher.announce(Announcement(publisher: self.service, position: head))
                    // `try?`: cancelled, somebody has heard it.
                    try? await Task.sleep(for: .milliseconds(50))
                }
            }
            // `try?`: cancelled, there is nothing more to wait for.
            group.addTask { try? await Task.sleep(for: time) }
            await group.next()
            group.cancelAll()
        }
    }

    /// Publishes events together, durable ones after they are in the log. Gives them with their positions.
    @discardableResult
    func publish(_ events: [Event], isDurable: Bool) async -> [Event] {
        let events =
            isDurable ? self.log.withLockedValue { log in events.map { log.append($0) } } : events
        await self.publisher.publish(events)
        return events
    }
}

/// The lines of standard input, read on a thread of their own.
func inputLines() -> AsyncStream<String> {
    let (lines, continuation) = AsyncStream.makeStream(of: String.self)
    Thread.detachNewThread {
        while let line = readLine() { continuation.yield(line) }
        continuation.finish()
    }
    return lines
}

/// Says a line on standard output, at once.
func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

func say(_ message: JSON) { say(String(decoding: message.bytes, as: UTF8.self)) }
