/// Every event type there is: how it is delivered, who may see it, and what its room names. Dialects derive its wire name.
public struct CatalogueEntry: Sendable, Hashable {
    public let type: EventType
    public let durability: Durability
    /// What a principal needs to see it; `nil`: any credential of the tenant will do.
    public let scope: Scope?
    public let room: RoomKind
    /// The member of a transient event's data that tells apart what one room has several of, each measured by itself.
    public let part: String?
    /// Its place in `Catalogue.entries`.
    public let index: Int

    /// The services that publish it.
    public var publishers: Set<ServiceName> {
        switch self.type.domain {
        case "sources", "scenes", "obs": [.obsBridge]
        case "performance": [.performanceMonitor]
        // A failure in an OBS or a source is obs-bridge's.
        case "system": [.performanceMonitor, .obsBridge]
        case "radio": [.radioPlayout]
        case "camera": [.cameraEvents]
        case "auth": [.auth]
        default: [.streamMetrics]
        }
    }
}

/// What the room of an event names.
public enum RoomKind: Sendable, Hashable {
    case none, source, obsConnection, stream, channel, station, camera
}

public enum Catalogue {
    /// In order of domain, as `docs/events.md` lists them.
    public static let entries: [CatalogueEntry] = rows.enumerated().map { index, row in
        CatalogueEntry(
            type: row.type, durability: row.durability, scope: row.scope, room: row.room, part: row.part, index: index)
    }

    public static let byType: [EventType: CatalogueEntry] = Dictionary(
        uniqueKeysWithValues: Self.entries.map { ($0.type, $0) })

    /// The domains: `sources`, `scenes`, … Source Saver calls them categories.
    public static let domains: Set<String> = Set(Self.entries.map { String($0.type.domain) })

    private struct Row {
        let type: EventType
        let durability: Durability
        let scope: Scope?
        let room: RoomKind
        let part: String?

        init(
            _ type: EventType, _ durability: Durability, _ scope: Scope?, _ room: RoomKind, part: String? = nil
        ) {
            self.type = type
            self.durability = durability
            self.scope = scope
            self.room = room
            self.part = part
        }
    }

    private static let rows: [Row] = [
        // obs-bridge: contract source-saver §4
        Row("sources.create", .durable, .obsRead, .source),
        Row("sources.update", .durable, .obsRead, .source),
        Row("sources.activate", .durable, .obsRead, .source),
        Row("sources.deactivate", .durable, .obsRead, .source),
        Row("sources.delete", .durable, .obsRead, .source),
        Row("scenes.sourceAdded", .durable, .obsRead, .obsConnection),
        Row("scenes.sourceRemoved", .durable, .obsRead, .obsConnection),
        Row("scenes.sourceConfigUpdated", .durable, .obsRead, .obsConnection),
        Row("obs.sceneChanged", .durable, .obsRead, .obsConnection),
        Row("obs.connectionChanged", .durable, .obsRead, .obsConnection),
        Row("obs.statsUpdate", .transient, .obsRead, .obsConnection),

        // performance-monitor: contract source-saver §4
        Row("performance.update", .transient, .systemRead, .none),
        Row("performance.alert", .durable, .systemRead, .none),
        Row("system.statusChange", .durable, .systemRead, .none),
        Row("system.error", .durable, .systemRead, .none),
        Row("system.maintenanceMode", .durable, .systemRead, .none),

        // stream-metrics: contract wave §4
        Row("stream.started", .durable, .streamsRead, .stream),
        Row("stream.ended", .durable, .streamsRead, .stream),
        Row("stream.health", .transient, .streamsRead, .stream),
        Row("viewer.joined", .durable, .analyticsRead, .stream),
        Row("viewer.left", .durable, .analyticsRead, .stream),
        Row("analytics.update", .transient, .analyticsRead, .stream),
        Row("chat.message", .durable, .streamsRead, .stream),
        Row("reaction.received", .durable, .streamsRead, .stream),

        // stream-metrics: contract astro §5
        Row("channel.activities", .durable, .activitiesRead, .channel),
        Row("channel.announcements", .durable, .channelRead, .channel),
        Row("channel.chatstats", .transient, nil, .channel),
        Row("channel.chat.message", .durable, .overlaysRead, .channel),
        Row("channel.tips", .durable, .tipsRead, .channel),
        Row("channel.tips.moderation", .durable, .tipsModeration, .channel),
        Row("channel.session.update", .durable, .sessionRead, .channel),
        Row("channel.session.reset", .durable, .sessionRead, .channel),
        Row("channel.stream.status", .durable, .streamLiveRead, .channel),
        Row("channel.overlay.action", .durable, .overlaysRead, .channel),
        Row("channel.overlay.broadcast", .durable, .overlaysBroadcast, .channel),
        Row("channel.overlay.update", .durable, .overlaysRead, .channel),
        Row("channel.kvstore.update", .durable, .kvstoreRead, .channel),
        Row("channel.songrequest", .durable, .overlaysRead, .channel),
        Row("channel.contests", .durable, nil, .channel),
        Row("channel.giveaways", .durable, nil, .channel),
        Row("channel.loyalty.redemptions", .durable, .storeRead, .channel),
        Row("channel.loyalty.items", .durable, .storeRead, .channel),
        Row("channel.chatbot.status", .durable, .botRead, .channel),
        Row("channel.chatbot.modules.pyramid", .durable, .botRead, .channel),
        Row("channel.chatbot.modules.emotecombo", .durable, .botRead, .channel),
        Row("channel.chatbot.counters", .durable, nil, .channel),
        Row("channel.chatbot.audiencequeue", .durable, .botRead, .channel),
        Row("channel.chatbot.timeout", .durable, nil, .channel),
        Row("channel.chatbot.modules", .durable, .botRead, .channel),
        Row("channel.chatbot.commands", .durable, .botRead, .channel),
        Row("channel.chatbot.timers", .durable, .botRead, .channel),
        Row("channel.chatbot.filters", .durable, .botRead, .channel),

        // radio-playout: contract grimnir §4
        Row("radio.now_playing", .durable, .radioRead, .station),
        Row("radio.live.handover", .durable, .radioRead, .station),
        Row("radio.live.released", .durable, .radioRead, .station),
        Row("radio.dj_connect", .durable, .radioRead, .station),
        Row("radio.dj_disconnect", .durable, .radioRead, .station),
        Row("radio.webstream.failover", .durable, .radioRead, .station),
        Row("radio.webstream.recovered", .durable, .radioRead, .station),
        Row("radio.webstream.health", .transient, .radioRead, .station, part: "webstream_id"),
        Row("radio.priority.emergency", .durable, .radioRead, .station),
        Row("radio.priority.override", .durable, .radioRead, .station),
        Row("radio.priority.released", .durable, .radioRead, .station),
        Row("radio.priority.change", .durable, .radioRead, .station),
        Row("radio.health", .transient, .radioRead, .station, part: "mount_id"),
        Row("radio.schedule_update", .durable, .radioRead, .station),
        Row("radio.listener_stats", .transient, .radioRead, .station, part: "mount"),
        Row("radio.playout.queue_change", .durable, .radioRead, .station),

        // camera-events: contract airys §5
        Row("camera.stream_status", .durable, .camerasRead, .camera),
        Row("camera.face_detected", .durable, .camerasRead, .camera),
        Row("camera.analytics", .transient, .camerasRead, .camera),
        Row("camera.metrics", .transient, .camerasRead, .camera),

        // auth: for gateways and services; no dialect shows it
        Row("auth.revoked", .durable, .authAdmin, .none),
    ]
}
