import Database
import DomainService
import Events
import HTTPTypes
import ServiceKit

/// The kinds of activity that contract astro §5 lists.
enum ActivityKind: String, Sendable, CaseIterable {
    case event, follow, tip, communityGiftPurchase, channelPointsRedemption, sponsor, superchat, host, raid, subscriber,
        cheer
    case cheerPurchase, charityCampaignDonation, redemption, merch, fan, supporter, follower, stars, share, videolike,
        elixir
    case purchase, hypetrainStart, hypetrainProgress, hypetrainEnd, giveaway, sponsorship, sponsorshipPassive
}

enum ActivityProvider: String, Sendable, CaseIterable {
    case twitch, youtube, represent, fourthwall, lunar, lilithgames, x, grabtap, kick
    case streamElements = "StreamElements"
}

/// What a client reports.
struct ActivityDraft: Sendable {
    let kind: ActivityKind
    let provider: ActivityProvider
    let data: JSON

    /// What its amount is in, in capital letters; `nil`: it does not say.
    var currency: String? { self.data["currency"]?.string.flatMap { $0.isEmpty ? nil : $0.uppercased() } }

    /// A whole message should fit into one frame of 40,960 bytes (contract astro §1).
    private static let dataBytesMax = 32_768
    /// Beyond it a sum of them is no longer exact.
    static let amountMax = 1e12

    /// What the service itself has to report.
    init(_ kind: ActivityKind, by provider: ActivityProvider, _ data: JSON) {
        self.kind = kind
        self.provider = provider
        self.data = data
    }

    init(_ body: [String: JSON]) throws(APIFailure) {
        let members = Members(body)
        try members.requireNoNUL()
        self.kind = try members.require("type", try members.choice("type", of: ActivityKind.self))
        self.provider = try members.require("provider", try members.choice("provider", of: ActivityProvider.self))
        let data = try members.require("data", try members.members("data"))
        _ = try data.require("username", try data.text("username", 1...200, mayBeBlank: true))
        for name in ["displayName", "providerId"] { _ = try data.text(name, 0...200) }
        _ = try data.text("avatar", 0...2000)
        _ = try data.text("sender", 0...200)
        _ = try data.number("amount", 0...Self.amountMax)
        _ = try data.text("currency", 0...32)
        self.data = .object(data.object)
        guard self.data.bytes.count <= Self.dataBytesMax else {
            throw members.invalid("data", "must have at most \(Self.dataBytesMax) bytes")
        }
    }
}

/// 24 hexadecimal digits: 4 bytes of seconds, 8 random ones.
enum HexID {
    static func new(at moment: Timestamp) -> String {
        Self.hex(UInt64(UInt32(truncatingIfNeeded: moment.seconds)), 8) + Self.hex(.random(in: 0...UInt64.max), 16)
    }

    static func isID(_ text: some StringProtocol) -> Bool {
        text.utf8.count == 24 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    private static func hex(_ value: UInt64, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: width - digits.count) + digits
    }
}

extension ChannelActivity {
    init(_ row: Row) throws(DatabaseError) {
        let id: String = try row.decode("id")
        self.init(
            id: id, kind: try row.decode("type"), provider: try row.decode("provider"),
            channel: try row.decode("tenant"),
            data: try row.decode("data"), createdAt: try row.decode("created_at"),
            updatedAt: try row.decode("updated_at"),
            activityID: id, sessionEventsCount: try row.decode("session_events_count"))
    }
}
