public import Events

/// Source Saver's dialect (docs/dialects/source-saver.md): `category:name` events, patterns, no authentication of its own.
public struct SourceSaver: Dialect {
    public let profile = DialectProfile(
        name: .sourceSaver, paths: ["/source-saver"], listener: 0, messageBytesMax: 64 * 1024,
        messageRate: RateLimit(burst: 50, perSecond: 10), pingInterval: .seconds(30), silenceMax: .seconds(90),
        silenceClose: nil, connectionsMax: 1000, connectionsRefusal: Self.refusal("Too many connections"),
        drainRefusal: Self.refusal("Server is shutting down"), unverifiedRefusal: Self.refusal("Service unavailable"))

    public init() {}

    public func admit(_ request: UpgradeRequest) -> Admission {
        let unauthorized = HTTPRefusal.json(401, ["error": "Unauthorized"])
        if let token = request.bearer ?? request.query("token") {
            return .verify(Credential(token), refusal: unauthorized)
        }
        return request.isLocal ? .open(.anonymous) : .refuse(unauthorized)
    }

    public func makeSession(_ request: UpgradeRequest, principal: Principal?) -> any DialectSession {
        guard let principal else { preconditionFailure("a Source Saver connection opens with a principal") }
        return SourceSaverSession(principal: principal)
    }

    public func project(_ event: Event) -> [Projection] {
        guard let name = Self.names[event.type] else { return [] }
        let own = Projection(keys: name.keys) { Self.frame(name.event, data: event.data, at: event.time, id: event.id) }
        guard event.type == "performance.alert" else { return [own] }
        let copy = Projection(keys: [Self.alertCopy]) {
            Self.frame(Self.alertCopy, data: event.data, at: event.time, id: event.id)
        }
        return [own, copy]
    }

    public func entries(answeringTo key: String) -> [CatalogueEntry] {
        Self.entriesByKey[key] ?? []
    }

    private static let entriesByKey: [String: [CatalogueEntry]] = {
        let keyed = Catalogue.shown.flatMap { entry in (Self.names[entry.type]?.keys ?? []).map { ($0, [entry]) } }
        let copied = Catalogue.shown.filter { $0.type == "performance.alert" }
        return Dictionary(keyed + [(Self.alertCopy, copied)]) { $0 + $1 }
    }()

    /// How an event is called, and the patterns that it matches.
    struct Name {
        let event: String
        let keys: [String]
    }

    /// An older name of `performance:alert`, for those only who ask for it by this name.
    static let alertCopy = "system:performanceAlert"

    static let names: [EventType: Name] = Dictionary(
        uniqueKeysWithValues: Catalogue.shown.map { entry in
            let domain = String(entry.type.domain)
            let event = "\(domain):\(entry.type.name.dropFirst(domain.count + 1))"
            return (entry.type, Name(event: event, keys: [event, "\(domain):*", "*"]))
        })

    static let patterns = Set(Self.names.values.flatMap(\.keys) + [Self.alertCopy])

    static func frame(_ event: String, data: [UInt8], at time: Timestamp, id: ULID) -> [UInt8] {
        var frame: [UInt8] = []
        frame.reserveCapacity(data.count + event.utf8.count + 120)
        frame.append(text: "{\"event\":")
        frame.append(quoted: event)
        frame.append(text: ",\"data\":")
        frame += data
        frame.append(text: ",\"timestamp\":\"\(time.iso8601)\",\"id\":\"msg-\(id.text)\"}")
        return frame
    }

    private static func refusal(_ message: String) -> HTTPRefusal {
        .json(503, ["error": .string(message), "retryAfter": 30], headers: ["Retry-After": "30"])
    }
}
