import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// A page of widgets that a channel shows over its picture (contract astro §5, `channel.overlay.update`).
struct Overlay: Sendable {
    let id: String
    let channel: String
    var draft: OverlayDraft
    let createdAt: Timestamp
    var updatedAt: Timestamp

    init(_ draft: OverlayDraft, channel: String, at moment: Timestamp) {
        self.id = HexID.new(at: moment)
        self.channel = channel
        self.draft = draft
        self.createdAt = moment
        self.updatedAt = moment
    }

    init(_ row: Row) throws(DatabaseError) {
        self.id = try row.decode("id")
        self.channel = try row.decode("tenant")
        self.draft = try OverlayDraft(row)
        self.createdAt = try row.decode("created_at")
        self.updatedAt = try row.decode("updated_at")
    }

    var json: JSON {
        [
            "_id": .string(self.id), "channel": .string(self.channel), "type": .string(self.draft.type),
            "name": .string(self.draft.name), "settings": self.draft.settings, "preview": .string(self.draft.preview),
            "widgets": self.draft.widgets, "mobile": .bool(self.draft.isMobile),
            "campaign": .bool(self.draft.isCampaign), "favorite": .bool(self.draft.isFavorite),
            "createdAt": .string(self.createdAt.iso8601), "updatedAt": .string(self.updatedAt.iso8601),
        ]
    }
}

/// What a client says of an overlay.
struct OverlayDraft: Sendable {
    var type = "regular"
    var name = ""
    var settings: JSON = ["width": 1920, "height": 1080, "name": "1080p"]
    var preview = ""
    var widgets: JSON = []
    var isMobile = false
    var isCampaign = false
    var isFavorite = false

    private static let members: Set = [
        "type", "name", "settings", "preview", "widgets", "mobile", "campaign", "favorite",
    ]
    private static let widgetsMax = 500
    /// An event with the whole of it fits into a message (contract astro §1).
    private static let bytesMax = 524_288
    private static let settingsBytesMax = 4096

    /// A new one.
    init(_ body: [String: JSON]) throws(APIFailure) {
        try self.change(body)
        guard !self.name.isEmpty else { throw Members(body).invalid("name", "is required") }
    }

    init(_ row: Row) throws(DatabaseError) {
        self.type = try row.decode("type")
        self.name = try row.decode("name")
        self.settings = try row.decode("settings")
        self.preview = try row.decode("preview")
        self.widgets = try row.decode("widgets")
        self.isMobile = try row.decode("mobile")
        self.isCampaign = try row.decode("campaign")
        self.isFavorite = try row.decode("favorite")
    }

    /// Sets what is named. The members that a client has read and sends back are as they are.
    mutating func change(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireOnly(
            Self.members.union(["_id", "channel", "createdAt", "updatedAt"]), "is not known here")
        try members.requireNoNUL()
        self.type = try members.text("type", 1...32) ?? self.type
        self.name = try members.text("name", 1...200) ?? self.name
        if let settings = try members.members("settings") {
            guard JSON.object(settings.object).bytes.count <= Self.settingsBytesMax else {
                throw members.invalid("settings", "must have at most \(Self.settingsBytesMax) bytes")
            }
            for side in ["width", "height"] {
                _ = try settings.require(side, try settings.integer(side, 1...16_384, "pixels"))
            }
            _ = try settings.text("name", 0...64)
            self.settings = .object(settings.object)
        }
        self.preview = try members.text("preview", 0...2000) ?? self.preview
        if let widgets = body["widgets"], widgets != .null {
            guard let list = widgets.array, list.count <= Self.widgetsMax, list.allSatisfy({ $0.object != nil }) else {
                throw members.invalid("widgets", "must be a list of at most \(Self.widgetsMax) objects")
            }
            self.widgets = widgets
        }
        self.isMobile = try members.bool("mobile") ?? self.isMobile
        self.isCampaign = try members.bool("campaign") ?? self.isCampaign
        self.isFavorite = try members.bool("favorite") ?? self.isFavorite
        guard self.widgets.bytes.count <= Self.bytesMax else {
            throw members.invalid("widgets", "must have at most \(Self.bytesMax) bytes")
        }
    }
}

/// What overlays can be told to do (contract astro §5).
enum OverlayAction: String, Sendable, CaseIterable {
    case pause, unpause, mute, unmute, skip, playNext, emptyHypeCup, reload
}

/// An event that a client has for a channel's overlays.
struct OverlayBroadcast: Sendable {
    /// An overlay's id, or all of them.
    let target: String
    let event: String
    let data: JSON

    static let global = "global"
    private static let dataBytesMax = 5120

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireOnly(["target", "event", "data"], "is not known here")
        try members.requireNoNUL()
        self.target =
            try members.text("target", "must be global or an overlay's id") { $0 == Self.global || HexID.isID($0) }
            ?? Self.global
        self.event = try members.require("event", try members.text("event", 1...256))
        let data = try members.members("data").map { JSON.object($0.object) } ?? [:]
        guard data.bytes.count <= Self.dataBytesMax else {
            throw members.invalid("data", "must have at most \(Self.dataBytesMax) bytes")
        }
        self.data = data
    }

    var json: JSON { ["target": .string(self.target), "event": .string(self.event), "data": self.data] }
}
