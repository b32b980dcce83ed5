/// `radio.now_playing`: a track or a webstream starts (contract grimnir §4).
///
/// What a playout system sent is passed on byte for byte (`Event(nowPlaying:…)`), further members included, so every member may
/// be missing or something else than the contract says: what cannot be read is `nil`.
public struct NowPlaying: EventPayload {
    public static let type: EventType = "radio.now_playing"

    public var stationID: String?
    public var mountID: String?
    public var mediaID: String?
    public var title: String?
    public var artist: String?
    public var album: String?
    /// In seconds.
    public var duration: Double?
    /// RFC 3339.
    public var startsAt: String?
    /// `media`, `live`, `webstream`, `emergency` or `fallback`.
    public var sourceType: String?
    public var webstreamID: String?
    public var webstreamName: String?
    public var url: String?
    public var healthStatus: String?

    enum CodingKeys: String, CodingKey {
        case title, artist, album, duration, url
        case stationID = "station_id"
        case mountID = "mount_id"
        case mediaID = "media_id"
        case startsAt = "starts_at"
        case sourceType = "source_type"
        case webstreamID = "webstream_id"
        case webstreamName = "webstream_name"
        case healthStatus = "health_status"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        // `try?`: a member of another type was passed on like any other, and says nothing to us.
        let text = { (key: CodingKeys) in try? members.decode(String.self, forKey: key) }
        self.stationID = text(.stationID)
        self.mountID = text(.mountID)
        self.mediaID = text(.mediaID)
        self.title = text(.title)
        self.artist = text(.artist)
        self.album = text(.album)
        self.duration = try? members.decode(Double.self, forKey: .duration)
        self.startsAt = text(.startsAt)
        self.sourceType = text(.sourceType)
        self.webstreamID = text(.webstreamID)
        self.webstreamName = text(.webstreamName)
        self.url = text(.url)
        self.healthStatus = text(.healthStatus)
    }
}

extension Event {
    /// A track start as it was sent. The caller has checked that `data` is one JSON object in UTF-8.
    public init(nowPlaying data: [UInt8], tenant: String, station: String, time: Timestamp = .now) {
        self.init(
            id: ULID(at: time), type: NowPlaying.type, tenant: tenant, room: station, publisher: .radioPlayout,
            time: time,
            data: data)
    }
}
