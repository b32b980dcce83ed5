import ArgumentParser
import Bus
import Events

/// A publisher whose events come from standard input: what the conformance suite uses for events that no service makes yet.
///
/// It stands in obs-bridge's place on the bus. Each line of input is `{"type","tenant","room","durable","time","data"}`; each is
/// answered by a line with its `id` and `seq` (0: transient) when it is on its way.
struct PublishCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish", abstract: "Publishes the events that standard input names, as obs-bridge.")

    @Option(help: "The port of its event socket; that of its commands is one higher.")
    var port: Int

    func run() async throws {
        let standIn = try StandIn(for: .obsBridge, port: self.port)
        try await standIn.run {
            say(JSON.object(["ready": true]))
            for await line in inputLines() { say(await self.publish(line, through: standIn)) }
        }
    }

    private func publish(_ line: String, through standIn: StandIn) async -> JSON {
        guard let message = JSON(parsing: Array(line.utf8)), let type = message["type"]?.string,
            let data = message["data"], data.object != nil
        else { return ["error": "not an event"] }
        let event = Event(
            id: ULID(), type: EventType(type), tenant: message["tenant"]?.string ?? Principal.defaultTenant,
            room: message["room"]?.string ?? "", publisher: standIn.service,
            time: message["time"]?.string.flatMap(Timestamp.init(iso8601:)) ?? .now, data: data.bytes)
        let published = await standIn.publish([event], isDurable: message["durable"]?.bool ?? true)
        return ["id": .string(event.id.text), "seq": .integer(Int64(published.first?.position?.seq ?? 0))]
    }
}
