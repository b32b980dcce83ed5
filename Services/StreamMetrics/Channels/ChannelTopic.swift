import DomainService
import Events
import HTTPTypes
import ServiceKit

/// A topic of a channel that has no resource of its own here: somebody else knows what happens, a chat bot, a song player, …, and says it
/// (contract astro §5).
enum ChannelTopic: String, Sendable, CaseIterable {
    case announcements = "channel.announcements"
    case chatStats = "channel.chatstats"
    case chatMessage = "channel.chat.message"
    case keyValueStore = "channel.kvstore.update"
    case songRequest = "channel.songrequest"
    case contests = "channel.contests"
    case giveaways = "channel.giveaways"
    case loyaltyRedemptions = "channel.loyalty.redemptions"
    case loyaltyItems = "channel.loyalty.items"
    case chatBotStatus = "channel.chatbot.status"
    case chatBotPyramid = "channel.chatbot.modules.pyramid"
    case chatBotEmoteCombo = "channel.chatbot.modules.emotecombo"
    case chatBotCounters = "channel.chatbot.counters"
    case chatBotAudienceQueue = "channel.chatbot.audiencequeue"
    case chatBotTimeout = "channel.chatbot.timeout"

    var type: EventType { EventType(self.rawValue) }

    /// What is needed to say it: `<domain>:write` where `<domain>:read` is needed to hear it.
    var scope: Scope {
        let domain = Catalogue.byType[self.type]?.scope?.name.prefix { $0 != ":" } ?? "channel"
        return Scope("\(domain):write")
    }

    /// A whole message should fit into one frame of 40,960 bytes (contract astro §1).
    private static let bytesMax = 32_768

    /// What is said on it: the body, if it is what the topic says. Throws 400.
    func data(_ body: [String: JSON], of channel: String) throws(APIFailure) -> JSON {
        let members = Members(body)
        try members.requireNoNUL()
        guard !body.isEmpty else { throw APIFailure(.badRequest, "The body must have what happened") }
        guard JSON.object(body).bytes.count <= Self.bytesMax else {
            throw APIFailure(.badRequest, "The body must have at most \(Self.bytesMax) bytes")
        }
        var data = body
        switch self {
        // Whatever the platform or the client has.
        case .announcements, .chatStats, .chatMessage, .keyValueStore, .loyaltyRedemptions, .loyaltyItems: break
        case .songRequest: try SongRequestEvent.check(members)
        case .contests: try ContestEvent.check(members)
        case .giveaways:
            try GiveawayEvent.check(members)
            guard members.isAbsent("channelId") || body["channelId"]?.string == channel else {
                throw members.invalid("channelId", "must be the channel's id")
            }
            data["channelId"] = .string(channel)
        case .chatBotStatus:
            let states = ["banned", "muted", "joined", "mod"]
            try members.requireOnly(Set(states), "is not known here")
            for state in states where members.has(state) {
                _ = try members.require(state, try members.bool(state))
            }
        case .chatBotPyramid:
            try Self.checkChatter(members)
            _ = try members.require("word", try members.text("word", 1...500))
            _ = try members.require("width", try members.integer("width", 1...10_000))
        case .chatBotEmoteCombo:
            try Self.checkChatter(members)
            _ = try members.require("emote", try members.text("emote", 1...500))
            _ = try members.require("count", try members.integer("count", 1...1_000_000))
        case .chatBotCounters:
            _ = try members.require("counter", try members.text("counter", 1...200))
            _ = try members.require("value", try members.number("value", -1e15...1e15))
        case .chatBotAudienceQueue: try AudienceQueueEvent.check(members)
        case .chatBotTimeout:
            try Self.checkChatter(members)
            _ = try members.require("duration", try members.number("duration", 0...1e9))
        }
        return .object(data)
    }

    private static func checkChatter(_ members: Members) throws(APIFailure) {
        for name in ["msg_id", "user_id", "user_name"] {
            _ = try members.require(name, try members.text(name, 1...200))
        }
    }
}

/// What happens to requested songs.
private enum SongRequestEvent: String, CaseIterable {
    case play, pause, volume
    case queueAdd = "queue.add"
    case queueRemove = "queue.remove"
    case queueClear = "queue.clear"
    case queuePurge = "queue.purge"
    case pendingApprove = "pending.approve"
    case historyAdd = "history.add"
    case historyClear = "history.clear"
    case historyRemove = "history.remove"
    case songNext = "song.next"
    case songSkip = "song.skip"
    case songPosition = "song.position"
    case songVoteSkip = "song.voteskip"
    case songPrevious = "song.previous"
    case settingsUpdate = "settings.update"

    private enum Queue: String, CaseIterable { case queue, pending }

    static func check(_ members: Members) throws(APIFailure) {
        let event = try members.require("event", try members.choice("event", of: Self.self))
        let payload = try members.members("payload") ?? Members([:], at: "payload.")
        switch event {
        case .play, .pause, .songSkip, .historyAdd, .settingsUpdate: break
        case .volume: _ = try payload.require("volume", try payload.number("volume", 0...100))
        case .queueAdd:
            _ = try payload.require("song", try payload.members("song"))
            _ = try payload.number("position", 0...1e9)
            _ = try payload.require("queue", try payload.choice("queue", of: Queue.self))
        case .queueRemove:
            _ = try payload.require("queue", try payload.choice("queue", of: Queue.self))
            _ = try payload.require("songId", try payload.text("songId", 1...200))
        case .queueClear: _ = try payload.require("queue", try payload.choice("queue", of: Queue.self))
        case .queuePurge:
            _ = try payload.require("queue", try payload.choice("queue", of: Queue.self))
            _ = try payload.require("user", try payload.text("user", 1...200))
        case .pendingApprove: _ = try payload.require("approvedBy", try payload.text("approvedBy", 1...200))
        case .historyClear: _ = try payload.require("removed", try payload.integer("removed", 0...1_000_000_000))
        case .historyRemove: _ = try payload.require("songId", try payload.text("songId", 1...200))
        case .songNext: _ = try payload.members("nextSong")
        case .songPosition:
            _ = try payload.require("songId", try payload.text("songId", 1...200))
            _ = try payload.require("position", try payload.number("position", 0...1e9))
        case .songVoteSkip:
            for name in ["totalVotes", "votesRequired"] {
                _ = try payload.require(name, try payload.integer(name, 0...1_000_000_000))
            }
            _ = try payload.require("completed", try payload.bool("completed"))
        case .songPrevious: _ = try payload.require("song", try payload.members("song"))
        }
    }
}

/// What happens in a contest.
private enum ContestEvent: String, CaseIterable {
    case update, state, winner

    private enum State: String, CaseIterable { case created, running, ended, completed, refunded, closed }

    static func check(_ members: Members) throws(APIFailure) {
        let event = try members.require("event", try members.choice("event", of: Self.self))
        let payload = try members.require("payload", try members.members("payload"))
        switch event {
        case .update:
            for name in ["optionId", "userId"] {
                _ = try payload.require(name, try payload.text(name, 1...200))
            }
            _ = try payload.require("amount", try payload.number("amount", 0...1e15))
        case .state:
            _ = try payload.require("state", try payload.choice("state", of: State.self))
            _ = try payload.text("contestId", 1...200)
        case .winner: _ = try payload.require("winnerId", try payload.text("winnerId", 1...200))
        }
    }
}

/// What happens in a giveaway.
private enum GiveawayEvent: String, CaseIterable {
    case start, enter, complete, winner, close, refund
    case refundEntry = "refund-entry"

    private enum State: String, CaseIterable { case created, running, closed, refunded, completed }

    static func check(_ members: Members) throws(APIFailure) {
        let event = try members.require("event", try members.choice("event", of: Self.self))
        _ = try members.require("giveawayId", try members.text("giveawayId", 1...200))
        _ = try members.require("state", try members.choice("state", of: State.self))
        let data = try members.members("data")
        switch event {
        case .start, .complete, .close, .refund: break
        case .enter, .refundEntry:
            let data = try members.require("data", data)
            _ = try data.require("entry", try data.members("entry"))
        case .winner:
            let data = try members.require("data", data)
            _ = try data.require("winner", try data.members("winner"))
        }
    }
}

/// What happens to the queue of viewers that want to take part.
private enum AudienceQueueEvent: String, CaseIterable {
    case created = "audience-queue:created"
    case updated = "audience-queue:updated"
    case deleted = "audience-queue:deleted"
    case memberEnqueued = "audience-queue:member-enqueued"
    case memberSelected = "audience-queue:member-selected"
    case memberRemoved = "audience-queue:member-removed"

    static func check(_ members: Members) throws(APIFailure) {
        let event = try members.require("event", try members.choice("event", of: Self.self))
        let payload = try members.members("payload")
        guard event != .deleted else {
            guard payload == nil else { throw members.invalid("payload", "must be null") }
            return
        }
        let given = try members.require("payload", payload)
        switch event {
        case .memberEnqueued, .memberSelected, .memberRemoved:
            for name in ["id", "username"] { _ = try given.require(name, try given.text(name, 1...200)) }
        case .created, .updated, .deleted: break
        }
    }
}
