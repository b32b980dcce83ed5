import Bus
import Database
import DomainService
import Events
import ServiceKit
import ServiceLifecycle

/// Streams, who watches them and what they say; what happens in a channel.
@main
struct StreamMetrics {
    static func main() async {
        await ServiceProcess.run("stream-metrics") { process in try Self.make(process).parts() }
    }

    /// The service with all its routes, and everything that runs once they are served.
    static func make(_ process: ServiceProcess) throws -> (service: DomainService, parts: () -> [any Service]) {
        let config = try StreamMetricsConfig(process.config)
        let migrations = [
            Migration(
                name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self)),
            Migration(
                name: "0002-encoder", sql: String(decoding: PackageResources._002_encoder_sql, as: UTF8.self)),
            Migration(
                name: "0003-audience", sql: String(decoding: PackageResources._003_audience_sql, as: UTF8.self)),
            Migration(name: "0004-media", sql: String(decoding: PackageResources._004_media_sql, as: UTF8.self)),
            Migration(
                name: "0005-channels", sql: String(decoding: PackageResources._005_channels_sql, as: UTF8.self)),
        ]
        let service = try DomainService(
            .streamMetrics, process, migrations: migrations, openAPI: PackageResources.openapi_yaml,
            shape: ErrorShape.shape)
        let cache = StreamCache()
        let streams = Streams(service, cache: cache, media: config.media)
        let viewers = Viewers(service)
        let senders = SenderLimit()
        let chat = Chat(service, cache: cache, limit: senders, retention: config.chatRetention)
        let reactions = Reactions(service, cache: cache, limit: senders)
        let sessions = Sessions(service)
        let audience = Audience(service)
        let health = HealthBook()

        ChannelsAPI(
            activities: Activities(service), tips: Tips(service), sessions: sessions, overlays: Overlays(service),
            topics: ChannelTopics(service)
        ).add(to: service.router)
        service.commands.answer(FindStream.self) { command in
            try await CommandFailure.translating { try await streams.find(command) }
        }
        let say: @Sendable (StreamHealth, String) async -> Void = {
            [publisher = service.publisher] sample, tenant in
            await publisher.publish([
                Event(sample, tenant: tenant, room: sample.streamID, publisher: .streamMetrics, time: .now)
            ])
        }
        let feed = EncoderFeed(streams) { sample, tenant in
            health.note(sample, at: .now)
            await say(sample, tenant)
        }
        let media = Media(service, streams, config) { sample, tenant in
            // An encoder knows more of its stream than the server that it sends it to.
            if health.noteUnlessEncoderSays(sample, at: .now) { await say(sample, tenant) }
        }
        let limit = CredentialLimit()
        StreamsAPI(
            streams: streams, viewers: viewers, chat: chat, audience: audience, health: health, media: media,
            limit: limit
        ).add(to: service.router)
        media.add(to: service.router)
        RecordingsAPI(streams: streams, recordings: Recordings(service), limit: limit).add(to: service.router)
        service.commands.answer(FeedStream.self) { command in
            try await CommandFailure.translating { try await feed.feed(command) }
        }
        service.commands.answer(SendChat.self) { command in
            try await CommandFailure.translating { try await chat.send(command) }
        }
        service.commands.answer(SendReaction.self) { command in
            try await CommandFailure.translating { try await reactions.send(command) }
        }
        return (
            service,
            {
                service.parts(
                    with: [chat.cleaning, reactions.announcing, audience.announcing, sessions.rolling] + media.duties
                ) {
                    await streams.gauges()
                }
            }
        )
    }
}
