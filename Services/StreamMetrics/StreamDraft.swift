import DomainService
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
        let members = Members(body)
        try members.requireNoNUL()
        self.title = try members.require("title", try members.text("title", Self.titleLength, mayBeBlank: true))
        self.description = try members.text("description", Self.descriptionLength)
        self.protocol = try members.require("protocol", try members.choice("protocol", of: StreamProtocol.self))
        self.recording = try Self.recording(members)
        self.transcoding = try Self.transcoding(members)
    }

    static func recording(_ members: Members) throws(APIFailure) -> JSON {
        let recording = try members.members("recording")
        return [
            "enabled": .bool(try recording?.bool("enabled") ?? false),
            "format": JSON(try recording?.text("format", 1...32, mayBeBlank: true)),
        ]
    }

    private static func transcoding(_ members: Members) throws(APIFailure) -> JSON {
        let transcoding = try members.members("transcoding")
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

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireNoNUL()
        try members.requireOnly(["title", "description", "recording"], "cannot be changed")
        self.title = try members.text("title", StreamDraft.titleLength, mayBeBlank: true)
        if members.has("title") { _ = try members.require("title", self.title) }
        self.description =
            members.has("description") ? .some(try members.text("description", StreamDraft.descriptionLength)) : nil
        // Not `nil`: JSON has one of its own.
        self.recording = members.has("recording") ? try StreamDraft.recording(members) : JSON?.none
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
