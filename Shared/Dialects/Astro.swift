public import Events

/// StreamElements Astro's dialect (docs/dialects/astro.md): topics and rooms, a credential with every subscription.
public struct Astro: Dialect {
    public let profile = DialectProfile(
        name: .astro, paths: ["/astro", "/ws"], listener: 1, messageBytesMax: 64 * 1024, eventBytesMax: 1 << 20,
        messageRate: RateLimit(burst: 100, perSecond: 10), pingInterval: .seconds(30), silenceMax: .seconds(70),
        silenceClose: Closing(1008, "heartbeat timeout"), attemptRate: RateLimit(burst: 30, perSecond: 10),
        attemptRefusal: .tooManyAttempts, drainRefusal: .json(502, ["error": "the server is shutting down"]))

    public init() {}

    public func admit(_ request: UpgradeRequest) -> Admission { .open(nil) }

    public func makeSession(_ request: UpgradeRequest, principal: Principal?) -> any DialectSession {
        AstroSession(reconnectToken: request.query("reconnect_token"))
    }

    public func project(_ event: Event) -> [Projection] {
        guard Self.topics[event.type.name] != nil else { return [] }
        let room = event.roomOrTenant
        var keys = [filterKey(event.type.name, room)]
        // Who asks for a topic of the channel's stations or cameras without a room gets those of the whole channel.
        if room != event.tenant { keys.append(filterKey(event.type.name, event.tenant)) }
        return [
            Projection(keys: keys) {
                var frame: [UInt8] = []
                frame.reserveCapacity(event.data.count + 200)
                frame.append(
                    text:
                        "{\"id\":\"\(event.id.text)\",\"ts\":\"\(event.time.rfc3339)\",\"type\":\"message\",\"topic\":")
                frame.append(quoted: event.type.name)
                frame.append(text: ",\"room\":")
                frame.append(quoted: room)
                frame.append(text: ",\"data\":")
                frame += event.type == Self.sessionReset ? Self.bothWays(event.data) : event.data
                frame.append(text: "}")
                return frame
            }
        ]
    }

    public func entries(answeringTo key: String) -> [CatalogueEntry] { Self.topics[filterName(key)].map { [$0] } ?? [] }

    private static let sessionReset: EventType = "channel.session.reset"

    /// The session's map, and the same map as its member `session`: newer documents have the one, older clients read the other (§11.3).
    private static func bothWays(_ data: [UInt8]) -> [UInt8] {
        guard let members = JSON(parsing: data)?.object, members["session"] == nil,
            let end = data.lastIndex(of: UInt8(ascii: "}"))
        else { return data }
        return data[..<end] + Array((members.isEmpty ? "\"session\":" : ",\"session\":").utf8) + data + data[end...]
    }

    /// By topic, which is the type's name.
    static let topics: [String: CatalogueEntry] = Dictionary(
        uniqueKeysWithValues: Catalogue.shown.map { ($0.type.name, $0) })
}
