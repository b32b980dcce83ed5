import Bus
import Database
import DomainService
import Events
import ServiceKit

/// Streams, who watches them and what they say; what happens in a channel.
@main
struct StreamMetrics {
    static func main() async {
        await ServiceProcess.run("stream-metrics") { process in
            let config = try StreamMetricsConfig(process.config)
            let migrations = [
                Migration(name: "0001-initial", sql: String(decoding: PackageResources._001_initial_sql, as: UTF8.self))
            ]
            let service = try DomainService(
                .streamMetrics, process, migrations: migrations, openAPI: PackageResources.openapi_yaml,
                shape: ErrorShape.shape)
            let cache = StreamCache()
            let streams = Streams(service, cache: cache, media: config.media)
            let viewers = Viewers(service)
            let chat = Chat(service, cache: cache, retention: config.chatRetention)
            let reactions = Reactions(service, cache: cache)
            let activities = Activities(service)

            StreamsAPI(streams: streams, viewers: viewers, chat: chat).add(to: service.router)
            ChannelsAPI(activities: activities).add(to: service.router)
            service.commands.answer(FindStream.self) { command in
                try await CommandFailure.translating { try await streams.find(command) }
            }
            service.commands.answer(SendChat.self) { command in
                try await CommandFailure.translating { try await chat.send(command) }
            }
            service.commands.answer(SendReaction.self) { command in
                try await CommandFailure.translating { try await reactions.send(command) }
            }
            return service.parts(with: [chat.cleaning, reactions.announcing]) { await streams.gauges() }
        }
    }
}
