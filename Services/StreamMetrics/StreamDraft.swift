import Events
import HTTPTypes
import ServiceKit

/// What a client asks for when it makes a stream.
struct StreamDraft: Sendable {
    static let titleLength = 1...200
    static let descriptionLength = 0...5000

    let title: String
    let description: String?
    let `protocol`: StreamProtocol
    let recording: JSON
    let transcoding: JSON

    init(_ body: [String: JSON]) throws(APIFailure) {
        let fields = try Fields(body)
        self.title = try fields.requiredText("title", Self.titleLength)
        self.description = try fields.text("description", Self.descriptionLength)
        guard let name = try fields.choice("protocol", of: StreamProtocol.self) else {
            throw fields.refuse("protocol", "is required")
        }
        self.protocol = name
        self.recording = try Self.recording(fields)
        self.transcoding = try Self.transcoding(fields)
    }

    static func recording(_ fields: Fields) throws(APIFailure) -> JSON {
        let recording = try fields.object("recording")
        return [
            "enabled": .bool(try recording?.bool("enabled") ?? false),
            "format": JSON(try recording?.text("format", 1...32)),
        ]
    }

    private static func transcoding(_ fields: Fields) throws(APIFailure) -> JSON {
        let transcoding = try fields.object("transcoding")
        let profiles = try transcoding?.texts("profiles", max: 20, 1...32) ?? []
        return [
            "enabled": .bool(try transcoding?.bool("enabled") ?? false),
            "profiles": .array(profiles.map(JSON.string)),
        ]
    }
}

/// What a client changes about a stream; what it does not name stays.
struct StreamPatch: Sendable {
    let title: String?
    /// `.some(nil)` takes the description away.
    let description: String??
    let recording: JSON?

    private static let changeable: Set<String> = ["title", "description", "recording"]

    init(_ body: [String: JSON]) throws(APIFailure) {
        let fields = try Fields(body)
        if let other = body.keys.sorted().first(where: { !Self.changeable.contains($0) }) {
            throw fields.refuse(other, "cannot be changed")
        }
        self.title = fields.has("title") ? try fields.requiredText("title", StreamDraft.titleLength) : nil
        self.description =
            fields.has("description") ? .some(try fields.text("description", StreamDraft.descriptionLength)) : nil
        // Not `nil`: JSON has one of its own.
        self.recording = fields.has("recording") ? try StreamDraft.recording(fields) : JSON?.none
    }

    func applied(to stream: Stream, at moment: Timestamp) -> Stream {
        var stream = stream
        if let title { stream.title = title }
        if let description { stream.description = description }
        if let recording { stream.recording = recording }
        stream.updatedAt = moment
        return stream
    }
}
