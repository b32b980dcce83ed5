public import Events

/// Airys' dialect (docs/dialects/airys.md): a login by message, everything of every camera by default, camera control.
public struct Airys: Dialect {
    public let profile = DialectProfile(
        name: .airys, paths: ["/v1/stream"], listener: 4, messageBytesMax: Self.messageBytesMax,
        eventBytesMax: Self.messageBytesMax,
        messageRate: RateLimit(burst: 100, perSecond: 50), pingInterval: .seconds(30), silenceMax: .seconds(90),
        silenceClose: nil, revokedClose: Closing(4401, "authentication failed"))

    public init() {}

    public func admit(_ request: UpgradeRequest) -> Admission {
        Self.token(of: request).map { .introduce(Credential($0)) } ?? .open(nil)
    }

    public func makeSession(_ request: UpgradeRequest, principal: Principal?) -> any DialectSession {
        AirysSession(token: Self.token(of: request))
    }

    private static func token(of request: UpgradeRequest) -> String? { request.query("token") ?? request.bearer }

    public func project(_ event: Event) -> [Projection] {
        guard let name = Self.names[event.type] else { return [] }
        let room = event.room
        let keys = [filterKey(name, room), filterKey(name, "*"), filterKey("*", room), filterKey("*", "*")]
        let own = Projection(keys: keys, dropRank: Self.dropRanks[event.type] ?? 0) {
            var frame: [UInt8] = []
            frame.reserveCapacity(event.data.count + name.utf8.count + 80)
            frame.append(text: "{\"type\":")
            frame.append(quoted: name)
            frame.append(text: ",\"data\":")
            frame += event.data
            frame.append(text: ",\"id\":\"\(event.id.text)\"}")
            return frame
        }
        guard Self.statusTypes.contains(event.type) else { return [own] }
        return [
            own,
            Projection(keys: [Self.statusKey]) { Self.status(Self.status(after: event), at: event.time, id: event.id) },
        ]
    }

    public func entries(answeringTo key: String) -> [CatalogueEntry] {
        if key == Self.statusKey { return Catalogue.shown.filter { Self.statusTypes.contains($0.type) } }
        let name = filterName(key)
        return name == "*" ? Catalogue.shown : Self.entries[name].map { [$0] } ?? []
    }

    private static let entries: [String: CatalogueEntry] = Dictionary(
        uniqueKeysWithValues: Catalogue.shown.map { ($0.type.name(without: "camera"), $0) })

    static let messageBytesMax = 1_048_576

    /// In which order a client that is too slow does without them (contract §6).
    private static let dropRanks: [EventType: UInt8] = [
        "camera.metrics": 1, "camera.analytics": 2, "camera.face_detected": 3,
    ]

    /// By type: the camera events without their domain, the others with it.
    static let names: [EventType: String] = Dictionary(
        uniqueKeysWithValues: Catalogue.shown.map { ($0.type, $0.type.name(without: "camera")) })

    static let known = Set(Self.names.values)

    /// What a client gets that never subscribed.
    static let ownTypes: [String] = Catalogue.shown.filter { $0.type.domain == "camera" }.compactMap {
        Self.names[$0.type]
    }

    /// The key of `system/status`, which every client holds.
    static let statusKey = "system"

    private static let statusTypes: Set<EventType> = ["system.statusChange", "system.maintenanceMode"]

    /// `system/status`; its time is in seconds, as all of Airys' times.
    static func status(_ status: String, at time: Timestamp, id: ULID? = nil) -> [UInt8] {
        var message: [String: JSON] = [
            "type": "system", "event": "status",
            "data": ["status": .string(status), "timestamp": .integer(time.seconds)],
        ]
        if let id { message["id"] = .string(id.text) }
        return JSON.object(message).bytes
    }

    /// The one projection that looks into an event's data: the contract has other words for the same states.
    private static func status(after event: Event) -> String {
        let data = JSON(parsing: event.data)
        if event.type == "system.maintenanceMode" { return data?["enabled"]?.bool == true ? "maintenance" : "online" }
        switch data?["currentStatus"]?.string {
        case "healthy": return "online"
        case "unhealthy": return "offline"
        default: return "degraded"
        }
    }
}
