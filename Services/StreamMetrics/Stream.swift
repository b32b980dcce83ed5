import Database
import Events
import ServiceKit

enum StreamProtocol: String, Sendable, CaseIterable {
    case webrtc, rtmp, srt, ndi
}

/// One broadcast, from its plan to its end.
struct Stream: Sendable {
    /// `idle → live → ended`, and no way back.
    enum Status: String, Sendable, CaseIterable {
        case idle, live, ended, error

        var canStart: Bool { self == .idle }
        var canStop: Bool { self == .live }
        /// Whether it can be edited or deleted.
        var canChange: Bool { self != .live }
        var takesChat: Bool { self != .ended }
        var takesReactions: Bool { self == .live }
    }

    var id: String
    var tenant: String
    var title: String
    var description: String?
    var `protocol`: StreamProtocol
    var status: Status
    var recording: JSON
    var transcoding: JSON
    var startedAt: Timestamp?
    var endedAt: Timestamp?
    var createdAt: Timestamp
    var updatedAt: Timestamp
    /// Whose output it is, where an encoder started it: `obs:studio`.
    var encoder: String?
    /// The first of the streams that followed each other; `nil`: this one is.
    var origin: String?

    /// `stream_` and a lower-case ULID.
    static func newID(at moment: Timestamp) -> String { "stream_\(ULID(at: moment).text.lowercased())" }

    /// Whether this can be a stream's id at all.
    static func isID(_ text: some StringProtocol) -> Bool {
        text.hasPrefix("stream_") && text == text.lowercased() && ULID(text: text.dropFirst(7)) != nil
    }

    init(_ draft: StreamDraft, tenant: String, at moment: Timestamp) {
        self.id = Self.newID(at: moment)
        self.tenant = tenant
        self.title = draft.title
        self.description = draft.description
        self.protocol = draft.protocol
        self.status = .idle
        self.recording = draft.recording
        self.transcoding = draft.transcoding
        self.createdAt = moment
        self.updatedAt = moment
    }

    /// A new one of the same kind.
    init(after stream: Stream, at moment: Timestamp) {
        self = stream
        self.origin = stream.origin ?? stream.id
        self.id = Self.newID(at: moment)
        self.status = .idle
        self.startedAt = nil
        self.endedAt = nil
        self.createdAt = moment
        self.updatedAt = moment
        self.encoder = nil
    }

    init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("id")
        self.tenant = try row.decode("tenant")
        self.title = try row.decode("title")
        self.description = try row.decode("description")
        guard let name = StreamProtocol(rawValue: try row.decode("protocol")),
            let status = Status(rawValue: try row.decode("status"))
        else { throw .decoding("a stream's protocol or status is not one of ours") }
        self.protocol = name
        self.status = status
        self.recording = try row.decode("recording")
        self.transcoding = try row.decode("transcoding")
        self.startedAt = try row.decode("started_at")
        self.endedAt = try row.decode("ended_at")
        self.createdAt = try row.decode("created_at")
        self.updatedAt = try row.decode("updated_at")
        self.encoder = try row.decode("encoder")
        self.origin = try row.decode("origin")
    }

    /// The stream as the API shows it (contract wave §10).
    func json(_ media: MediaEndpoints) -> JSON {
        let ingest = media.ingestURL(of: self.id, self.protocol).map { url -> JSON in
            [self.protocol.rawValue: [self.protocol == .webrtc ? "whip_url" : "url": .string(url)]]
        }
        let playback = media.hlsURL(of: self.id).map { url -> JSON in ["hls": .string(url)] }
        return [
            "id": .string(self.id), "org_id": .string(self.tenant), "title": .string(self.title),
            "description": JSON(self.description), "protocol": .string(self.protocol.rawValue),
            "status": .string(self.status.rawValue), "recording": self.recording, "transcoding": self.transcoding,
            "ingest": ingest ?? .null, "playback": playback ?? .null, "started_at": JSON(self.startedAt?.iso8601),
            "ended_at": JSON(self.endedAt?.iso8601), "created_at": .string(self.createdAt.iso8601),
            "updated_at": .string(self.updatedAt.iso8601),
        ]
    }
}
