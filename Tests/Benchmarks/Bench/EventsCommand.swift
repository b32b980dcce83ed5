import ArgumentParser
import Events

/// Publishes numbered events with the time at which they were due, at the load generator's pace.
///
/// It stands in radio-playout's place on the bus. With several types or rooms the events are dealt out to them in turn; `part` in
/// an event's data is its number within its own.
struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Publishes numbered events at the load generator's pace, as radio-playout.")

    @Option(help: "The port of its event socket; that of its commands is one higher.")
    var port: Int

    @Option(help: "Bytes of an event's data.")
    var bytes = 400

    @Option(help: "Event types, separated by commas.")
    var types = "radio.now_playing"

    @Option(help: "Rooms: room-0, room-1, …")
    var rooms = 1

    @Flag(help: "Without a place in a log.")
    var transient = false

    func run() async throws {
        let types = self.types.split(separator: ",").map { EventType(String($0)) }
        guard !types.isEmpty, self.rooms > 0, types.count == 1 || self.rooms == 1 else {
            throw ValidationError("several types, or several rooms")
        }
        let parts = max(types.count, self.rooms)
        let standIn = try StandIn(for: .radioPlayout, port: self.port)
        try await standIn.run {
            await standIn.awaitListener(atMost: .seconds(1.5))
            try await PacedPublisher().run { due in
                let now = Timestamp.now
                let events = due.map { due in
                    Event(
                        id: ULID(), type: types[due.number % types.count], tenant: Principal.defaultTenant,
                        room: "room-\(due.number % self.rooms)", publisher: standIn.service, time: now,
                        data: self.data(due, parts: parts))
                }
                await standIn.publish(events, isDurable: !self.transient)
            }
        }
    }

    private func data(_ due: PacedPublisher.Due, parts: Int) -> [UInt8] {
        let numbers = "{\"t0\":\(due.at),\"seq\":\(due.number),\"part\":\(due.number / parts),\"pad\":\""
        let pad = max(0, self.bytes - numbers.utf8.count - 2)
        return Array(numbers.utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: pad) + Array("\"}".utf8)
    }
}
