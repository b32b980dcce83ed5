public import Events

/// Grimnir Radio's dialect (docs/dialects/grimnir.md): the types are in the URL, and the client has nothing more to say.
public struct Grimnir: Dialect {
    public let profile = DialectProfile(
        name: .grimnir, paths: ["/api/v1/events"], listener: 3, messageBytesMax: 4096, eventBytesMax: 32 * 1024,
        messageRate: nil,
        pingInterval: .seconds(30), silenceMax: .seconds(90), silenceClose: nil, beatInterval: .seconds(15),
        connectionsMax: 10_000, connectionsRefusal: .json(503, ["error": "connection_limit_reached"]),
        attemptRate: .rolling(100, per: .seconds(60)),
        attemptRefusal: .json(429, ["error": "rate_limited"], headers: ["Retry-After": "60"]))

    public init() {}

    public func admit(_ request: UpgradeRequest) -> Admission {
        let unauthorized = HTTPRefusal.json(401, ["error": "unauthorized"], headers: ["WWW-Authenticate": "Bearer"])
        guard let token = request.headers["x-api-key"] ?? request.bearer ?? request.query("token"), !token.isEmpty
        else {
            return .refuse(unauthorized)
        }
        return .verify(Credential(token), refusal: unauthorized)
    }

    public func makeSession(_ request: UpgradeRequest, principal: Principal?) -> any DialectSession {
        guard let principal else { preconditionFailure("a Grimnir connection opens with a principal") }
        let asked = Self.types(asked: request.query("types") ?? "")
        return GrimnirSession(
            types: asked.filter(Self.known.contains), unknown: asked.filter { !Self.known.contains($0) },
            principal: principal)
    }

    public func project(_ event: Event) -> [Projection] {
        guard let name = Self.names[event.type] else { return [] }
        return [
            Projection(keys: [name]) {
                var frame: [UInt8] = []
                frame.reserveCapacity(event.data.count + name.utf8.count + 32)
                frame.append(text: "{\"type\":")
                frame.append(quoted: name)
                frame.append(text: ",\"payload\":")
                frame += event.data
                frame.append(text: "}")
                return frame
            }
        ]
    }

    public func entries(answeringTo key: String) -> [CatalogueEntry] {
        Self.entries[key].map { [$0] } ?? []
    }

    private static let entries: [String: CatalogueEntry] = Dictionary(
        uniqueKeysWithValues: Catalogue.shown.map { ($0.type.name(without: "radio"), $0) })

    static let names: [EventType: String] = Dictionary(
        uniqueKeysWithValues: Catalogue.shown.map { ($0.type, $0.type.name(without: "radio")) })

    private static let known = Set(Self.names.values)

    /// The names of a list separated by commas, known or not; the default for an empty list.
    static func types(asked: String) -> [String] {
        let names = asked.split(separator: ",").map { String($0).trimmed }.filter { !$0.isEmpty }
        return names.isEmpty ? ["now_playing", "health"] : names.unique
    }
}
