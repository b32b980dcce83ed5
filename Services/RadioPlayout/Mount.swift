import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// Where a station can be listened to.
struct Mount: Sendable {
    let id: String
    let stationID: String
    let draft: MountDraft

    init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("id")
        self.stationID = try row.decode("station_id")
        self.draft = MountDraft(
            name: try row.decode("name"), url: try row.decode("url"), format: try row.decode("format"),
            bitrate: try row.decode("bitrate"), channels: try row.decode("channels"),
            sampleRate: try row.decode("sample_rate"), encoderPreset: try row.decode("encoder_preset_id"))
    }

    var answer: JSON {
        [
            "id": .string(self.id), "station_id": .string(self.stationID), "name": .string(self.draft.name),
            "url": .string(self.draft.url), "format": .string(self.draft.format),
            "bitrate": .integer(Int64(self.draft.bitrate)),
            "channels": .integer(Int64(self.draft.channels)), "sample_rate": .integer(Int64(self.draft.sampleRate)),
            "encoder_preset_id": self.draft.encoderPreset.map(JSON.string) ?? .null,
        ]
    }

    var publicAnswer: JSON {
        [
            "id": .string(self.id), "name": .string(self.draft.name), "format": .string(self.draft.format),
            "bitrate": .integer(Int64(self.draft.bitrate)), "url": .string(self.draft.url), "lq_url": .null,
        ]
    }
}

/// All of a mount but its identity.
struct MountDraft: Sendable, Equatable {
    var name: String
    var url: String
    var format = "mp3"
    /// In kbit/s.
    var bitrate = 128
    var channels = 2
    /// In hertz.
    var sampleRate = 44_100
    var encoderPreset: String?

    enum Format: String, CaseIterable { case mp3, aac, ogg }

    init(
        name: String, url: String, format: String = "mp3", bitrate: Int = 128, channels: Int = 2,
        sampleRate: Int = 44_100,
        encoderPreset: String? = nil
    ) {
        self.name = name
        self.url = url
        self.format = format
        self.bitrate = bitrate
        self.channels = channels
        self.sampleRate = sampleRate
        self.encoderPreset = encoderPreset
    }

    /// The mount that every new station has.
    init(defaultFor station: String) {
        let slug = station.lowercased().split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }.joined(separator: "-")
        let name = slug.isEmpty ? "live" : slug
        self.init(name: name, url: "/\(name)")
    }

    init(_ object: [String: JSON]) throws(APIFailure) {
        let members = Members(object)
        guard !["name", "url", "format"].contains(where: members.isAbsent) else {
            throw APIFailure(.badRequest, code: "missing_required_fields", "name, url and format are required")
        }
        self.init(
            name: try members.text("name", 1...200) ?? "",
            url: try members.text("url", "must be a path or an http URL", where: Self.isListenable) ?? "",
            format: try members.choice("format", of: Format.self)?.rawValue ?? "",
            bitrate: try members.integer("bitrate_kbps", 8...5000) ?? 128,
            channels: try members.integer("channels", 1...8) ?? 2,
            sampleRate: try members.integer("sample_rate", 8000...192_000) ?? 44_100,
            encoderPreset: try members.text("encoder_preset", 1...200))
    }

    /// A path, or an address over HTTP. Anybody may see it, so it holds no password.
    private static func isListenable(_ url: String) -> Bool {
        guard url.unicodeScalars.count <= 2048, !url.contains(where: \.isWhitespace),
            url.utf8.allSatisfy({ $0 > 32 && $0 != 127 })
        else {
            return false
        }
        if url.hasPrefix("/") { return true }
        guard let prefix = ["http://", "https://"].first(where: url.lowercased().hasPrefix) else { return false }
        let authority = url.dropFirst(prefix.count).prefix { !"/?#".contains($0) }
        return !authority.isEmpty && !authority.contains("@")
    }
}
