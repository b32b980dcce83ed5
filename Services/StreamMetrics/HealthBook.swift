import Events
import NIOConcurrencyHelpers

/// The last `stream.health` of each stream, as far as this process has measured it.
final class HealthBook: Sendable {
    struct Entry: Sendable {
        let health: StreamHealth
        let time: Timestamp
        /// Whether the encoder itself said it, and not the server that its stream goes to.
        let isEncoders: Bool
    }

    private let entries = NIOLockedValueBox<[String: Entry]>([:])

    /// Beyond, the oldest goes.
    private static let entriesMax = 10_000

    /// Two measurements of an encoder are no further apart.
    private static let encoderPauseMax = Duration.seconds(8)

    func note(_ health: StreamHealth, at moment: Timestamp) {
        self.entries.withLockedValue { Self.note(Entry(health: health, time: moment, isEncoders: true), in: &$0) }
    }

    /// Notes what a media server has measured, but not while the encoder tells more. Returns whether it did.
    func noteUnlessEncoderSays(_ health: StreamHealth, at moment: Timestamp) -> Bool {
        self.entries.withLockedValue { entries in
            if let last = entries[health.streamID], last.isEncoders, moment - last.time < Self.encoderPauseMax {
                return false
            }
            Self.note(Entry(health: health, time: moment, isEncoders: false), in: &entries)
            return true
        }
    }

    private static func note(_ entry: Entry, in entries: inout [String: Entry]) {
        if entries.count >= Self.entriesMax, entries[entry.health.streamID] == nil,
            let oldest = entries.min(by: { $0.value.time.milliseconds < $1.value.time.milliseconds })?.key
        {
            entries[oldest] = nil
        }
        entries[entry.health.streamID] = entry
    }

    func last(of stream: String) -> Entry? { self.entries.withLockedValue { $0[stream] } }

    /// As the API shows it (contract wave §10); what nobody measured is null.
    func json(of stream: Stream, signal: Signal) -> JSON {
        let last = self.last(of: stream.id)
        func number(_ path: KeyPath<StreamHealth, Double?>) -> JSON {
            last?.health[keyPath: path].map(JSON.number) ?? .null
        }
        return [
            "stream_id": .string(stream.id), "status": .string(stream.status.rawValue), "bitrate": number(\.bitrate),
            "fps": number(\.fps), "packet_loss": number(\.packetLoss), "latency": number(\.latency),
            "timestamp": JSON(last?.time.iso8601), "signal": .string(signal.rawValue),
        ]
    }
}
