import Events

/// One Grimnir connection: types that never change, a ping every beat, an end with the token.
struct GrimnirSession: DialectSession {
    private static let ping = Array("{\"type\":\"ping\"}".utf8)

    private let types: [String]
    private let principal: Principal

    init(types: [String], principal: Principal) {
        self.types = types
        self.principal = principal
    }

    mutating func opened(at now: Timestamp) -> [SessionAction] {
        var actions: [SessionAction] = []
        if !self.types.isEmpty { actions.append(.subscribe(self.types, as: self.principal)) }
        if let expires = self.principal.expires { actions.append(.wake(at: expires)) }
        return actions
    }

    mutating func received(_ text: [UInt8], at now: Timestamp) -> [SessionAction] { [] }

    mutating func receivedBinary(_ bytes: [UInt8], at now: Timestamp) -> [SessionAction] { [] }

    mutating func woke(at now: Timestamp) -> [SessionAction] { [.close(.tokenExpired)] }

    mutating func beat(at now: Timestamp) -> [SessionAction] { [.send(Self.ping)] }
}
