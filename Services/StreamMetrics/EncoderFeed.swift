import Bus
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// What encoders say of their outputs: starts and ends the streams that are bound to them, and is the measure of their health.
actor EncoderFeed {
    private struct Reading {
        var counters: FeedStream.Counters
        var time: ContinuousClock.Instant
    }

    private let streams: Streams
    private let publish: @Sendable (StreamHealth, String) async -> Void
    /// The last one of each live stream.
    private var readings: [String: Reading] = [:]

    /// - Parameter publish: is given each measurement and the stream's tenant.
    init(_ streams: Streams, publish: @escaping @Sendable (StreamHealth, String) async -> Void) {
        self.streams = streams
        self.publish = publish
    }

    /// Answers `FeedStream`.
    func feed(_ command: FeedStream) async throws -> FeedStream.Answer {
        var stream = try await self.streams.get(command.stream, tenant: command.tenant)
        // By our own clock, by which the stream's earlier start was noted too.
        let startedAt = command.liveFor.map { Timestamp.now - .milliseconds($0) }
        if command.isLive {
            if !stream.status.canStart, !stream.status.canStop {
                // Somebody stopped it while the encoder went on, and that holds until the encoder begins anew.
                guard Self.isAnother(startedAt, than: stream.startedAt) else { return .init(stream: stream.id) }
                stream = try await self.streams.createSuccessor(of: stream)
            }
            if stream.status.canStart {
                do {
                    stream = try await self.streams.start(
                        stream.id, tenant: command.tenant, at: startedAt ?? .now, encoder: command.encoder,
                        liveMax: command.tier?.liveStreamsMax)
                } catch let failure as APIFailure where failure.status.code == Streams.planExceeded.code {
                    return .init(stream: stream.id, refusal: failure.message)
                }
            }
            await self.measure(stream, command)
        } else {
            self.readings[stream.id] = nil
            // One that was started by hand is ended by hand.
            if stream.status.canStop, stream.encoder == command.encoder {
                _ = try await self.streams.stop(stream.id, tenant: command.tenant)
            }
        }
        return .init(stream: stream.id)
    }

    /// An encoder says how long it is live, to a second or so: the start that follows from it is the same one.
    private static func isAnother(_ started: Timestamp?, than earlier: Timestamp?) -> Bool {
        guard let started, let earlier else { return true }
        return started - earlier > .seconds(3)
    }

    private func measure(_ stream: Stream, _ command: FeedStream) async {
        let now = ContinuousClock.now
        let last = self.readings[stream.id]
        let seconds = last.map { (now - $0.time).seconds } ?? 0
        // Two in quick succession, because a state changed, are one measurement.
        if last != nil, seconds < 1 { return }
        self.readings[stream.id] = Reading(counters: command.counters, time: now)
        let health = Self.health(
            of: stream.id, from: last?.counters, to: command.counters, seconds: seconds, fps: command.fps)
        await self.publish(health, stream.tenant)
    }

    /// - Parameter last: `nil`: there is nothing to compare with.
    static func health(
        of stream: String, from last: FeedStream.Counters?, to now: FeedStream.Counters, seconds: Double, fps: Double?
    ) -> StreamHealth {
        var health = StreamHealth(streamID: stream, bitrate: nil, fps: fps, packetLoss: nil, latency: nil)
        // Counters that went back are those of another output.
        guard let last, seconds > 0, let bytes = now.bytes.increase(since: last.bytes),
            let frames = now.totalFrames.increase(since: last.totalFrames)
        else { return health }
        health.bitrate = (Double(bytes) * 8 / 1000 / seconds * 10).rounded() / 10
        let skipped = min(now.skippedFrames.increase(since: last.skippedFrames) ?? 0, frames)
        health.packetLoss = frames > 0 ? (Double(skipped) / Double(frames) * 10_000).rounded() / 10_000 : 0
        return health
    }
}

extension Duration {
    fileprivate var seconds: Double {
        Double(self.components.seconds) + Double(self.components.attoseconds) / 1e18
    }
}
