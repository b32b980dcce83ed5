import Bus
import Events
import ForeignMessages
import Logging

/// Tells stream-metrics what the output of an OBS does that a stream is bound to. It is told again every five seconds, so nothing is
/// lost while stream-metrics is away.
struct StreamFeed: Sendable {
    let client: CommandClient
    let connections: OBSConnections
    let logger: Logger

    func feed(_ keeper: ConnectionKeeper, _ link: OBSLink) async {
        let connection = keeper.connection
        guard let stream = connection.stream, keeper.status.isConnected else { return }
        do {
            let output = try await link.request("GetStreamStatus")
            let isLive = output["outputActive"]?.bool ?? false
            let duration = output["outputDuration"]?.integer ?? 0
            let command = FeedStream(
                stream: stream, tenant: connection.tenant, encoder: "obs:\(connection.name)", isLive: isLive,
                liveFor: isLive ? max(0, duration) : nil,
                counters: .init(
                    bytes: output["outputBytes"]?.integer ?? 0, totalFrames: output["outputTotalFrames"]?.integer ?? 0,
                    skippedFrames: output["outputSkippedFrames"]?.integer ?? 0),
                fps: keeper.status.stats?.payload.fps, tier: connection.streamTier)
            let answer = try await self.client.call(command)
            if keeper.setStreamProblem(answer.refusal), let refusal = answer.refusal {
                self.logger.warning(
                    "The stream of an OBS is not live",
                    metadata: [
                        "obs.connection": "\(connection.name)", "stream.id": "\(answer.stream)", "reason": "\(refusal)",
                    ])
            }
            guard answer.stream != stream else { return }
            keeper.update(try await self.connections.setStream(answer.stream, of: connection))
        } catch {
            self.logger.debug(
                "The state of an output was not told",
                metadata: ["obs.connection": "\(connection.name)", "stream.id": "\(stream)", "error": "\(error)"])
        }
    }
}
