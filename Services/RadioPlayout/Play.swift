import Database
import Events

/// One entry of the play history: something that went on air.
struct Play: Sendable {
    let id: String
    let stationID: String
    let receivedAt: Timestamp
    let payload: NowPlaying

    init(id: String, stationID: String, receivedAt: Timestamp, payload: NowPlaying) {
        self.id = id
        self.stationID = stationID
        self.receivedAt = receivedAt
        self.payload = payload
    }

    init(_ row: Row) throws {
        self.init(
            id: try row.decode("id"), stationID: try row.decode("station_id"),
            receivedAt: try row.decode("received_at"),
            payload: try JSON.decode(NowPlaying.self, from: Array(try row.decode("payload", as: String.self).utf8)))
    }

    private static let sourceTypes: Set<String> = ["media", "live", "webstream", "emergency", "fallback"]

    var sourceType: String {
        if let said = self.payload.sourceType, Self.sourceTypes.contains(said) { return said }
        return self.payload.webstreamID == nil ? "media" : "webstream"
    }

    var startedAt: Timestamp { self.payload.startsAt.flatMap { Timestamp(iso8601: $0) } ?? self.receivedAt }

    /// A track without a successor is over when its length has passed since it was announced; what has no length goes on.
    func isOver(at now: Timestamp) -> Bool {
        guard let duration = self.payload.duration, duration > 0, duration < 1e9 else { return false }
        return max(self.startedAt, self.receivedAt) + .milliseconds(Int64(clamping: duration * 1000)) <= now
    }

    /// The answer to `GET now-playing` (contract grimnir §9).
    func answer(at now: Timestamp) -> JSON {
        if self.isOver(at: now) { return Self.idle }
        let text = { (value: String?) in value.map(JSON.string) ?? .null }
        return [
            "id": .string(self.id), "station_id": .string(self.stationID), "mount_id": text(self.payload.mountID),
            "media_id": text(self.payload.mediaID), "artist": text(self.payload.artist),
            "title": text(self.payload.title ?? self.payload.webstreamName), "album": text(self.payload.album),
            "started_at": .string(self.startedAt.rfc3339), "ended_at": .null, "status": "playing",
            "type": .string(self.sourceType), "source_type": .string(self.sourceType),
            "is_live_dj": .bool(self.sourceType == "live"),
        ]
    }

    static let idle: JSON = ["status": "idle"]
}
