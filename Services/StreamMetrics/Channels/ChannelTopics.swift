import Bus
import Database
import DomainService
import Events

/// Says what others report of a channel: in the log and to whoever listens, in one order.
struct ChannelTopics: Sendable {
    private let writer: EventWriter
    private let publisher: Publisher

    init(_ service: DomainService) {
        self.writer = service.writer
        self.publisher = service.publisher
    }

    /// - Returns: which message it became.
    func say(_ data: JSON, on topic: ChannelTopic, in channel: String) async throws -> JSON {
        let event = Event(topic.type, data, tenant: channel, room: channel, publisher: .streamMetrics)
        if Catalogue.byType[topic.type]?.durability == .transient {
            await self.publisher.publish([event])
        } else {
            try await self.writer.write { $0.emit(event) }
        }
        return [
            "id": .string(event.id.text), "topic": .string(topic.rawValue), "room": .string(channel), "data": data,
        ]
    }
}
