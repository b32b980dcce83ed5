public import Events

/// WAVE's dialect (docs/dialects/wave.md): event names of a stream, chat and reactions back, an API key in the URL.
public struct Wave: Dialect {
    public let profile = DialectProfile(
        name: .wave, paths: ["/v1/streams"], listener: 2, messageBytesMax: 64 * 1024, messageRate: nil,
        pingInterval: .seconds(30), silenceMax: .seconds(90), silenceClose: nil, beatInterval: .seconds(30),
        connectionsRefusal: Self.refusal, drainRefusal: Self.refusal, unverifiedRefusal: Self.refusal,
        // Clients come back on every code but 1000 and this one (contract §8).
        revokedClose: Closing(4401, "Invalid Auth"))

    public init() {}

    /// Always opens: a browser sees the close code 4401 only after a handshake.
    public func admit(_ request: UpgradeRequest) -> Admission {
        let key = Self.key(of: request)
        return key.isEmpty ? .open(nil) : .introduce(Credential(key))
    }

    public func makeSession(_ request: UpgradeRequest, principal: Principal?) -> any DialectSession {
        WaveSession(key: Self.key(of: request))
    }

    private static func key(of request: UpgradeRequest) -> String {
        request.query("api_key") ?? request.bearer ?? request.headers["x-api-key"] ?? ""
    }

    public func project(_ event: Event) -> [Projection] {
        guard Self.types[event.type.name] != nil else { return [] }
        return [
            Projection(keys: [filterKey(event.type.name, event.roomOrTenant)]) {
                var frame: [UInt8] = []
                frame.reserveCapacity(event.data.count + 120)
                frame.append(text: "{\"type\":")
                frame.append(quoted: event.type.name)
                frame.append(text: ",\"payload\":")
                frame += event.data
                frame.append(text: ",\"id\":\"\(event.id.text)\"}")
                return frame
            }
        ]
    }

    public func entries(answeringTo key: String) -> [CatalogueEntry] { Self.types[filterName(key)].map { [$0] } ?? [] }

    /// By their names on the wire.
    static let types: [String: CatalogueEntry] = Dictionary(
        uniqueKeysWithValues: Catalogue.shown.map { ($0.type.name, $0) })

    /// What WAVE itself has to say of a stream: the meaning of a `subscribe` without events.
    static let ownTypes: [String] = Catalogue.shown.filter { $0.room == .stream }.map(\.type.name)

    private static let refusal = HTTPRefusal.json(
        503, ["error": ["code": "SERVICE_UNAVAILABLE", "message": "Try again later", "details": [:]]],
        headers: ["Retry-After": "5"])
}
